// Draw an image; networks whose weights are in the model's state redraw it at once.

const BOARD = 256; // pixels of the drawing surface
const PEN = 20; // its width, about that of a digit's stroke
const FILLED = 20 / 28; // a digit's longer side as a share of its image, as in MNIST

function decoded(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// A layer with its weights as numbers; each row (first axis) of the steps has its own scale.
function unpacked(layer) {
  const steps = new Int8Array(decoded(layer.steps).buffer);
  const scale = new Float32Array(decoded(layer.scale).buffer);
  const row = steps.length / scale.length;
  const weight = Float32Array.from(steps, (step, place) => step * scale[Math.floor(place / row)]);
  return { ...layer, weight, bias: new Float32Array(decoded(layer.bias).buffer) };
}

function linear({ weight, bias }, input) {
  return bias.map((start, out) => {
    let sum = start;
    for (let place = 0, at = out * input.length; place < input.length; place += 1, at += 1) {
      sum += weight[at] * input[place];
    }
    return sum;
  });
}

// Each value of `input` is spread or gathered through a kernel: a convolution, or transposed, its opposite way.
function convolution({ weight, bias, shape, stride, padding, kind }, input) {
  const transposed = kind === "up";
  const [inside, outside] = transposed ? shape : [shape[1], shape[0]];
  const kernel = shape[2];
  const side = Math.round(Math.sqrt(input.length / inside));
  const target = transposed
    ? (side - 1) * stride - 2 * padding + kernel
    : Math.floor((side + 2 * padding - kernel) / stride) + 1;
  const output = new Float32Array(outside * target * target);
  for (let out = 0; out < outside; out += 1) {
    output.fill(bias[out], out * target * target, (out + 1) * target * target);
  }
  // `small` is the grid that a kernel is placed for, `large` the one it covers.
  const [small, large] = transposed ? [side, target] : [target, side];
  for (let out = 0; out < outside; out += 1) {
    for (let from = 0; from < inside; from += 1) {
      const taps = (transposed ? from * outside + out : out * inside + from) * kernel * kernel;
      const source = from * side * side, sink = out * target * target;
      for (let y = 0; y < small; y += 1) {
        for (let ky = 0; ky < kernel; ky += 1) {
          const row = y * stride + ky - padding;
          if (row < 0 || row >= large) continue;
          for (let x = 0; x < small; x += 1) {
            for (let kx = 0; kx < kernel; kx += 1) {
              const column = x * stride + kx - padding;
              if (column < 0 || column >= large) continue;
              const tap = weight[taps + ky * kernel + kx];
              if (transposed) output[sink + row * large + column] += tap * input[source + y * small + x];
              else output[sink + y * small + x] += tap * input[source + row * large + column];
            }
          }
        }
      }
    }
  }
  return output;
}

// Values of one image, [-1, 1], through a network's layers.
function redrawn(layers, image) {
  let values = image;
  for (const layer of layers) {
    values = layer.kind === "linear" ? linear(layer, values) : convolution(layer, values);
    values = values.map((value) => (value < 0 ? value * layer.slope : value));
  }
  return values;
}

// The colours of a residual from dark to bright, as the book's maps have them: black, red, yellow, white.
function heat(share) {
  return [3 * share, 3 * share - 1, 3 * share - 2].map((each) => 255 * Math.min(1, Math.max(0, each)));
}

function paint(canvas, side, colourOf) {
  const picture = new ImageData(side, side);
  for (let place = 0; place < side * side; place += 1) picture.data.set([...colourOf(place), 255], 4 * place);
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// What was drawn on a board, as the networks' training images are: longer side and centre of mass put right.
function centred(board, side) {
  const pixels = board.getContext("2d").getImageData(0, 0, BOARD, BOARD).data;
  let [left, top, right, bottom, mass, across, down] = [BOARD, BOARD, -1, -1, 0, 0, 0];
  for (let place = 0; place < BOARD * BOARD; place += 1) {
    const value = pixels[4 * place];
    if (!value) continue;
    const x = place % BOARD, y = Math.floor(place / BOARD);
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
    [mass, across, down] = [mass + value, across + value * x, down + value * y];
  }
  const small = element("canvas", { width: side, height: side });
  const context = small.getContext("2d");
  context.fillStyle = "black";
  context.fillRect(0, 0, side, side);
  if (mass) {
    const scale = (FILLED * side) / (Math.max(right - left, bottom - top) + 1);
    context.imageSmoothingQuality = "high";
    context.setTransform(scale, 0, 0, scale,
      side / 2 - (scale * across) / mass, side / 2 - (scale * down) / mass);
    context.drawImage(board, 0, 0);
  }
  const grey = context.getImageData(0, 0, side, side).data;
  return Float32Array.from({ length: side * side }, (_, place) => grey[4 * place] / 127.5 - 1);
}

function render({ model, el }) {
  const side = model.get("side"), names = model.get("names");
  const networks = model.get("networks").map(() => null); // unpacked when they are first needed
  const board = element("canvas", {
    width: BOARD, height: BOARD, class: "adlib-board-canvas", tabindex: 0, role: "application",
    "aria-label": "Drawing surface. Arrow keys move the pen, the space bar puts it down and lifts it.",
  });
  const views = ["what the network sees", "its reconstruction", "the residual"].map((name) => {
    const canvas = element("canvas", { class: "adlib-pixels", role: "img", "aria-label": name });
    return { canvas, box: element("figure", { class: "adlib-view" }, canvas, element("figcaption", {}, name)) };
  });
  const words = spoken();
  const context = board.getContext("2d", { willReadFrequently: true });
  let image = new Float32Array(side * side).fill(-1);

  const update = () => {
    const chosen = model.get("network");
    networks[chosen] ??= model.get("networks")[chosen].map(unpacked);
    const answer = redrawn(networks[chosen], image);
    const residual = image.map((value, place) => Math.abs(value - answer[place]));
    const score = residual.reduce((sum, each) => sum + each, 0) / residual.length;
    const grey = (values) => (place) => Array(3).fill(Math.min(255, Math.max(0, 127.5 * (values[place] + 1))));
    paint(views[0].canvas, side, grey(image));
    paint(views[1].canvas, side, grey(answer));
    paint(views[2].canvas, side, (place) => heat(residual[place] / 2));
    const below = model.get("normal_scores")[chosen].filter((each) => each < score).length;
    const share = Math.max(0, below - 1);
    words.textContent = `Score ${score.toFixed(4)}: above that of ${share} % of the normal test images.`;
    control.input.value = chosen;
    control.inWords(names[chosen]);
    chosenName.textContent = names[chosen];
    model.set("score", score);
    model.save_changes();
  };
  const chosenName = element("strong", {});
  const control = slider("Network: ", {
    max: names.length - 1,
    value: model.get("network"),
    onMove: (chosen) => {
      model.set("network", chosen);
      update();
    },
  });
  control.row.querySelector("label").append(chosenName);
  if (names.length < 2) control.input.hidden = true;

  const blank = () => {
    context.fillStyle = "black";
    context.fillRect(0, 0, BOARD, BOARD);
  };
  const line = ([fromX, fromY], [toX, toY]) => {
    Object.assign(context, { strokeStyle: "white", lineWidth: PEN, lineCap: "round" });
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
    context.stroke();
    image = centred(board, side);
  };
  let last = null, waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  };
  const place = (event) => {
    const box = board.getBoundingClientRect();
    return [((event.clientX - box.left) * BOARD) / box.width, ((event.clientY - box.top) * BOARD) / box.height];
  };
  let untouched = true; // an example is on the board; the first stroke wipes it
  const begin = () => {
    if (untouched) blank();
    untouched = false;
  };
  board.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary) return; // a second finger
    board.setPointerCapture(event.pointerId);
    begin();
    last = place(event);
    line(last, last);
    soon();
  });
  board.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const next = place(event);
    line(last, next);
    last = next;
    soon();
  });
  for (const name of ["pointerup", "pointercancel"]) board.addEventListener(name, () => (last = null));

  let pen = [BOARD / 2, BOARD / 4], down = false;
  board.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (!step) {
      down = !down;
      if (down) begin();
    }
    const next = step ? pen.map((each, axis) => Math.min(BOARD - 1, Math.max(0, each + step[axis]))) : pen;
    if (down) {
      line(pen, next);
      soon();
    }
    pen = next;
  });

  const show = (index) => {
    const bytes = decoded(model.get("examples")[index]);
    image = Float32Array.from(bytes, (value) => value / 127.5 - 1);
    const small = element("canvas", {});
    paint(small, side, (each) => Array(3).fill(bytes[each]));
    blank();
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, BOARD, BOARD);
    untouched = true;
    update();
  };
  const buttons = model.get("kinds").map((kind, index) => {
    const button = element("button", { type: "button", class: "adlib-button" }, kind.replaceAll("_", " "));
    button.addEventListener("click", () => show(index));
    return button;
  });
  const clear = element("button", { type: "button", class: "adlib-button" }, "clear");
  clear.addEventListener("click", () => {
    blank();
    untouched = false;
    image = new Float32Array(side * side).fill(-1);
    update();
  });
  const easel = element("figure", { class: "adlib-view" }, board, element("figcaption", {}, "draw here"));
  el.append(element("div", { class: "adlib-widget" },
    element("div", { class: "adlib-easel" }, easel, ...views.map((view) => view.box)),
    element("p", { class: "adlib-head" }, clear, element("span", {}, "or take a test image:"), ...buttons),
    control.row, words));
  model.on("change:network", update);
  show(0);
  return () => model.off("change:network", update);
}

export default { render };
