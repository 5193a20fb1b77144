// The page "Try it on your images": what is seen and pressed. All that takes long is done by worker.js.
import { cost, oneIn, words as thresholdWords } from "./threshold.js";
import { LEAST_SIDE, OVERLAP, advice } from "./tiles.js";

const root = document.getElementById("try-it");
const RATE = 0.02, // of false alarms, as adlib fit asks for
  SEEN = 256; // pixels of the side of what the detector looks at, likewise
const TYPES = "image/png,image/jpeg,image/webp,image/avif,image/bmp";

let worker = null,
  busy = null; // what the worker is at: {done, failed}
let learnt = null; // see worker.js, `summary`; with `moved`, a threshold that the reader has set
let verdicts = []; // {file, score, map, rows, columns, thumbnail, width, height, remark} or {file, error}, as they were given

// ---------------------------------------------------------------- elements
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const button = (words, press, attributes = {}) =>
  make("button", { type: "button", class: "try-button", onclick: press, ...attributes }, words);

// A button that lets files be chosen, and the zone around it that takes dropped ones.
function zone(lead, chooseWords, take, ...more) {
  const input = make("input", {
    type: "file",
    multiple: true,
    accept: TYPES,
    hidden: true,
    onchange: () => (take([...input.files]), (input.value = "")),
  });
  const element = make(
    "div",
    { class: "try-zone" },
    make("p", {}, lead),
    make(
      "div",
      { class: "try-buttons" },
      button(chooseWords, () => input.click()),
      ...more,
    ),
    input,
  );
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("try-over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("try-over"));
  element.addEventListener("drop", async (event) => {
    event.preventDefault();
    element.classList.remove("try-over");
    if (!busy) take(await dropped(event.dataTransfer));
  });
  return element;
}

const paths = new WeakMap(); // of files that came in a folder
const nameOf = (file) => paths.get(file) ?? file.name;

// The files that were dropped, with those of folders; what systems leave beside images is passed over.
async function dropped(transfer) {
  const files = [];
  const walk = async (entry) => {
    if (entry.name.startsWith(".") || /^(thumbs\.db|desktop\.ini|__macosx)$/i.test(entry.name)) return;
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      paths.set(files.at(-1), entry.fullPath.slice(1));
    } else {
      const reader = entry.createReader();
      for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length;) {
        for (const each of some) await walk(each);
      }
    }
  };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  for (const entry of entries) await walk(entry);
  return files;
}

const { megabytes, exampleMegabytes } = root.dataset;
const modelInput = make("input", {
  type: "file",
  accept: ".safetensors",
  hidden: true,
  onchange: () => (open(modelInput.files[0]), (modelInput.value = "")),
});
const goodZone = zone(
  "Drop twenty or so photographs of good parts here, or a folder of them.",
  "Choose good photographs",
  learn,
  button(`Take 20 solar cells (${exampleMegabytes} MB)`, takeExample),
  button("Open a detector file", () => modelInput.click()),
);
const whole = make("input", { type: "radio", name: "try-how", checked: true }),
  tiles = make("input", { type: "radio", name: "try-how" }),
  side = make("input", {
    type: "number",
    min: LEAST_SIDE,
    step: 1,
    value: SEEN,
    "aria-label": "Side of a tile, pixels",
    oninput: () => (tiles.checked = true),
  });
const how = make(
  "fieldset",
  { class: "try-how" },
  make("legend", {}, "How photographs are looked at"),
  make("label", { class: "try-check" }, whole, `whole, squeezed to ${SEEN} × ${SEEN} pixels`),
  make("span", { class: "try-check" }, make("label", { class: "try-check" }, tiles, "in tiles of"), side, "pixels"),
);
const question = make("div", {
  class: "try-question",
  role: "group",
  "aria-label": "Whole or in tiles?",
  hidden: true,
});
const otherZone = zone("Drop the photographs to be judged here.", "Choose photographs", judge);
const exampleButton = button("Take 12 others, half of them defective", judgeExample, { hidden: true });
otherZone.querySelector(".try-buttons").append(exampleButton);

const bar = make("progress", { max: 1, value: 0, "aria-label": "Progress" });
const barWords = make("span", {});
const work = make(
  "div",
  { class: "try-work", hidden: true },
  bar,
  barWords,
  button("Cancel", () => worker.postMessage({ kind: "cancel" })),
);
const status = make("p", { role: "status", class: "try-status" });
const alert = make("p", { role: "alert", class: "try-alert", hidden: true });
const now = make("div", {}, work, alert, status); // stands below what was pressed

const summary = make("div", { class: "try-summary" });
const saveButton = button("Download the detector", save);
const slider = make("input", {
  type: "range",
  min: 0,
  max: 200,
  step: 1,
  "aria-label": "Threshold",
  oninput: () => moveTo(slider.value / 200),
});
const plot = make("div", { class: "try-plot", "aria-hidden": "true" });
const costWords = make("p", { class: "try-cost" });
const resetButton = button("Back to the learnt threshold", () => move(null));
const counts = make("p", { class: "try-counts" });
const list = make("ol", { class: "try-list" });
const tableButton = button("Download the table (CSV)", table);
const heatSwitch = make("input", {
  type: "checkbox",
  id: "try-heat",
  checked: true,
  onchange: () => root.classList.toggle("try-no-heat", !heatSwitch.checked),
});

const steps = {
  good: make(
    "section",
    { "aria-labelledby": "try-1" },
    make("h2", { id: "try-1" }, "1. Good photographs"),
    goodZone,
    modelInput,
    how,
    question,
    make(
      "p",
      { class: "try-note" },
      `Whichever you press first loads ${megabytes} MB, once: the network that looks at photographs, and what runs it.`,
    ),
  ),
  learnt: make(
    "section",
    { "aria-labelledby": "try-2", hidden: true },
    make("h2", { id: "try-2", tabindex: -1 }, "2. Photographs to be judged"),
    summary,
    otherZone,
  ),
  results: make(
    "section",
    { "aria-labelledby": "try-3", hidden: true },
    make("h2", { id: "try-3", tabindex: -1 }, "3. Verdicts, the worst first"),
    plot,
    slider,
    costWords,
    make(
      "div",
      { class: "try-buttons" },
      resetButton,
      tableButton,
      make("label", { for: "try-heat", class: "try-check" }, heatSwitch, " heat maps"),
    ),
    counts,
    list,
  ),
};
const picture = make("dialog", { class: "try-dialog", "aria-label": "A photograph at its own size" });
steps.good.append(now);
root.replaceChildren(steps.good, steps.learnt, steps.results, picture);
picture.addEventListener("close", () => picture.replaceChildren());

// ---------------------------------------------------------------- the worker
function started() {
  if (worker) return worker;
  // From a blob: such a worker is held to this page's content-security policy, and asks no other host either.
  const script = new Blob([`import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`], {
    type: "text/javascript",
  });
  worker = new Worker(URL.createObjectURL(script), { type: "module" });
  worker.onmessage = ({ data }) => heard[data.kind]?.(data);
  worker.onerror = (event) => {
    worker = null;
    heard.failed({
      words: `The scripts of this page could not be started${event.message ? ` (${event.message})` : ""}. Is the network there? Reload the page to try again.`,
    });
  };
  return worker;
}

function ask(message, words) {
  if (busy) return;
  busy = message.kind;
  (message.kind === "learn" || message.kind === "load" ? steps.good : steps.learnt).append(now);
  alert.hidden = true;
  status.textContent = words;
  progress("loading", 0);
  work.hidden = false;
  now.scrollIntoView({ block: "nearest" });
  for (const each of root.querySelectorAll("button, input")) if (!work.contains(each)) each.disabled = true;
  root.setAttribute("aria-busy", "true");
  started().postMessage(message);
}

function rest() {
  busy = null;
  work.hidden = true;
  for (const each of root.querySelectorAll("button, input")) each.disabled = false;
  resetButton.disabled = !learnt || learnt.moved === null;
  root.removeAttribute("aria-busy");
}

function progress(words, done) {
  bar.value = done;
  barWords.textContent = words;
}

function refuse(words) {
  alert.textContent = words;
  alert.hidden = false;
  status.textContent = "";
}

// Lets a step begin at the top of the window, for eyes and for a screen reader.
function goTo(step) {
  const heading = step.querySelector("h2");
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "start" });
}

const heard = {
  progress: ({ words, done }) => progress(words, done),
  cancelled() {
    rest();
    status.textContent = "Cancelled.";
    if (verdicts.length) draw();
  },
  failed({ words }) {
    rest();
    if (verdicts.length) draw();
    refuse(words);
  },
  learnt(data) {
    rest();
    learnt = { ...data, moved: null };
    clear();
    summarise();
    steps.learnt.hidden = false;
    exampleButton.hidden = !example.learnt;
    status.textContent = `Learnt from ${learnt.images} good photographs. Now the others.`;
    goTo(steps.learnt);
  },
  verdict({ number, ...verdict }) {
    Object.assign(verdicts[number], verdict, { there: true });
    if (verdict.thumbnail) verdicts[number].address = URL.createObjectURL(verdict.thumbnail);
    verdicts[number].card = card(verdicts[number]); // now, not all at the end, which would hold the page up
  },
  judged() {
    rest();
    draw();
    status.textContent = counts.textContent;
    goTo(steps.results);
  },
  saved({ blob }) {
    rest();
    download(blob, "detector.safetensors");
    status.textContent = "The detector is in your downloads.";
  },
};

// ---------------------------------------------------------------- what is pressed
function learn(files) {
  example.learnt = false;
  teach(files);
}

async function teach(files) {
  if (!files.length) return refuse("No file there. Choose photographs of good parts.");
  question.hidden = true;
  if (tiles.checked) return teachTiled(files, Number(side.value));
  const advised = advice(await sizesOf(files), SEEN);
  if (advised && !busy) propose(files, advised);
  else teachHow(files, null);
}

function teachHow(files, tiling) {
  question.hidden = true;
  ask({ kind: "learn", files: sorted(files), tiling, falseAlarms: RATE }, `Learning from ${files.length} photographs.`);
}

function teachTiled(files, pixels) {
  if (Number.isInteger(pixels) && pixels >= LEAST_SIDE) return teachHow(files, { side: pixels, overlap: OVERLAP });
  refuse(`Tiles of ${side.value || "no"} pixels: take a whole number from ${LEAST_SIDE} on.`);
}

// Photographs that would lose much are squeezed only where the reader says so.
function propose(files, { side: pixels, tiles: count, words }) {
  const cut = button(`Learn in tiles of ${pixels} pixels`, () => {
    tiles.checked = true;
    side.value = pixels;
    teachTiled(files, pixels);
  });
  question.replaceChildren(
    make(
      "p",
      {},
      `${words} Squeezed to ${SEEN} × ${SEEN} pixels they lose what is thinner than a pixel there. Cut into tiles of ${pixels} pixels they lose less; that is ${count} a photograph, and takes about as many times as long.`,
    ),
    make(
      "div",
      { class: "try-buttons" },
      cut,
      button("Squeeze them all the same", () => teachHow(files, null)),
    ),
  );
  question.hidden = false;
  alert.hidden = true;
  status.textContent = "";
  cut.focus();
}

// {width, height} of those files that the browser shows.
async function sizesOf(files) {
  const size = (file) =>
    new Promise((resolve) => {
      const image = new Image(),
        done = (answer) => (URL.revokeObjectURL(image.src), resolve(answer));
      image.onload = () => done({ width: image.naturalWidth, height: image.naturalHeight });
      image.onerror = () => done(null);
      image.src = URL.createObjectURL(file);
    });
  return (await Promise.all(files.map(size))).filter(Boolean);
}

function open(file) {
  example.learnt = false;
  if (file) ask({ kind: "load", file }, `Opening ${file.name}.`);
}

function judge(files) {
  if (!files.length) return refuse("No file there. Choose photographs to be judged.");
  const first = verdicts.length;
  const fresh = sorted(files);
  verdicts.push(...fresh.map((file) => ({ file })));
  ask({ kind: "judge", files: fresh, first }, `Judging ${files.length} photographs.`);
}

const sorted = (files) => [...files].sort((some, other) => (nameOf(some) < nameOf(other) ? -1 : 1));

function save() {
  const value = threshold(),
    { expected } = cost(learnt.scores, value, learnt.confidence);
  ask(
    { kind: "save", threshold: { value, falseAlarms: learnt.moved === null ? learnt.falseAlarms : expected } },
    "Writing the detector.",
  );
}

const example = { learnt: false };

async function takeExample() {
  const files = await exampleFiles("good", 20);
  if (!files) return;
  example.learnt = true;
  teach(files);
}

async function judgeExample() {
  const files = await exampleFiles("other", 12);
  if (files) judge(files);
}

async function exampleFiles(kind) {
  try {
    const names = JSON.parse(root.dataset.example)[kind];
    return await Promise.all(
      names.map(async (name) => {
        const response = await fetch(new URL(`../made/try_it/${name}`, import.meta.url));
        if (!response.ok) throw new Error(`${name}: ${response.status}`);
        return new File([await response.blob()], name);
      }),
    );
  } catch (error) {
    refuse(`The example could not be loaded (${error.message}). Is the network there?`);
    return null;
  }
}

// ---------------------------------------------------------------- what is shown
const threshold = () => learnt.moved ?? learnt.threshold;
const isDefective = (verdict) => verdict.score > threshold();

function clear() {
  for (const { address } of verdicts) if (address) URL.revokeObjectURL(address);
  verdicts = [];
  list.replaceChildren();
  steps.results.hidden = true;
}

function summarise() {
  const tiles = learnt.tiling ? [`Photographs are cut into tiles of ${learnt.tiling.side} pixels.`] : [];
  const notes = [...tiles, ...learnt.notes].map((note) => make("li", {}, note));
  summary.replaceChildren(
    make(
      "p",
      {},
      make("strong", {}, `Learnt from ${learnt.images} good photographs. `),
      thresholdWords(learnt.scores, learnt.threshold, learnt.confidence, learnt.falseAlarms),
    ),
    ...(notes.length ? [make("ul", {}, ...notes)] : []),
    ...(learnt.saves ? [make("div", { class: "try-buttons" }, saveButton)] : []),
  );
}

// Everything about the verdicts: cards in order, plot, counts.
function draw() {
  verdicts = verdicts.filter((verdict) => verdict.there);
  steps.results.hidden = verdicts.length === 0;
  list.replaceChildren(...inOrder().map((verdict) => verdict.card));
  const scored = verdicts.filter((verdict) => !verdict.error).map((verdict) => verdict.score);
  const all = [...learnt.scores, ...scored],
    margin = 0.05 * (Math.max(...all) - Math.min(...all) || 1);
  learnt.range = [Math.min(...all) - margin, Math.max(...all) + margin];
  const dots = (scores, kind) =>
    scores.map((score) => make("i", { class: kind, style: `left: ${100 * share(score)}%` }));
  plot.replaceChildren(
    make("div", { class: "try-row" }, make("span", {}, "good, learnt from"), ...dots(learnt.scores, "try-known")),
    make("div", { class: "try-row try-judged" }, make("span", {}, "judged"), ...dots(scored, "try-new")),
    make("b", {}),
  );
  move(learnt.moved);
}

const inOrder = () => [...verdicts].sort((some, other) => (other.score ?? Infinity) - (some.score ?? Infinity));
const share = (score) => (score - learnt.range[0]) / (learnt.range[1] - learnt.range[0]);

function moveTo(position) {
  move(learnt.range[0] + position * (learnt.range[1] - learnt.range[0]));
}

// Sets the threshold, null for the learnt one, and says what follows.
function move(value) {
  learnt.moved = value;
  slider.value = Math.round(200 * share(threshold()));
  const rate = value === null ? learnt.falseAlarms : null;
  const text = thresholdWords(learnt.scores, threshold(), learnt.confidence, rate);
  costWords.textContent = `Threshold ${number(threshold())}${value === null ? " (learnt)" : ""}. ${text}`;
  const { expected } = cost(learnt.scores, threshold(), learnt.confidence);
  let bad = 0,
    good = 0;
  for (const verdict of verdicts) {
    if (verdict.error) continue;
    const defective = isDefective(verdict);
    if (defective) bad += 1;
    else good += 1;
    verdict.card.classList.toggle("try-defective", defective);
    verdict.card.querySelector(".try-verdict").textContent = defective ? "▲ defective" : "● good";
  }
  const errors = verdicts.length - bad - good;
  counts.textContent = `${bad + good} photographs: ${bad} defective, ${good} good${errors ? `; ${errors} could not be read` : ""}.`;
  if (bad + good >= 10 && bad > (bad + good) / 2) {
    counts.textContent +=
      " Unless most of them are defective, these photographs are unlike the good ones: another camera, light or part? Then learn again.";
  }
  slider.setAttribute(
    "aria-valuetext",
    `${number(threshold())}: ${bad} of ${bad + good} defective, false alarms about ${oneIn(expected)}`,
  );
  plot.querySelector("b").style.left = `${100 * share(threshold())}%`;
  plot
    .querySelectorAll(".try-new")
    .forEach((dot) => dot.classList.toggle("try-above", parseFloat(dot.style.left) > 100 * share(threshold())));
  resetButton.disabled = value === null;
}

const number = (score) => score.toPrecision(4);

function card(verdict) {
  const { file } = verdict;
  if (verdict.error) {
    return make(
      "li",
      { class: "try-unread" },
      make("span", { class: "try-name" }, nameOf(file)),
      make("span", {}, verdict.error),
    );
  }
  const heat = heatMap(verdict, Math.max(1, Math.floor(Math.min(verdict.rows, verdict.columns) / 64))),
    words = make("span", { class: "try-verdict" });
  const shape = `aspect-ratio: ${verdict.width} / ${verdict.height}; width: min(100%, ${(9 * verdict.width) / verdict.height}rem)`;
  const frame = make(
    "span",
    { class: "try-picture" },
    make("span", { class: "try-fit", style: shape }, make("img", { src: verdict.address, alt: "" }), heat),
  );
  const press = make(
    "button",
    { type: "button", class: "try-card", onclick: () => enlarge(verdict) },
    frame,
    words,
    make("span", { class: "try-score" }, `score ${number(verdict.score)}`),
    make("span", { class: "try-name" }, nameOf(file)),
  );
  press.title = "Open at its own size";
  return make("li", { title: verdict.remark || false }, press);
}

// The map as a canvas that lies over the photograph, every `step`th pixel of it: clear up to what is usual on good images
// (128 is the most of it), then yellow, then red.
function heatMap({ map, rows, columns }, step) {
  const [height, width] = [rows, columns].map((length) => Math.max(1, Math.floor(length / step)));
  const canvas = make("canvas", { width, height, class: "try-heat", "aria-hidden": "true" });
  const context = canvas.getContext("2d"),
    image = context.createImageData(width, height),
    middle = Math.floor(step / 2);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to += 4) {
      const heat = Math.max(0, (map[(row * step + middle) * columns + column * step + middle] - 100) / 155);
      image.data[to] = 255;
      image.data[to + 1] = 220 * (1 - heat);
      image.data[to + 3] = 200 * Math.min(1, 1.5 * heat);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function enlarge(verdict) {
  const address = URL.createObjectURL(verdict.file);
  const words = `${nameOf(verdict.file)}: ${isDefective(verdict) ? "defective" : "good"}, score ${number(verdict.score)}, ${verdict.width} x ${verdict.height} pixels${verdict.remark ? `; ${verdict.remark}` : ""}`;
  const heat = heatMap(verdict, 1),
    strength = make("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.05,
      value: 1,
      oninput: () => (heat.style.opacity = strength.value),
    });
  const frame = make(
    "div",
    { class: "try-own-size", style: `width: ${verdict.width}px; height: ${verdict.height}px` },
    make("img", { src: address, alt: words, onload: () => URL.revokeObjectURL(address) }),
    heat,
  );
  picture.replaceChildren(
    make(
      "div",
      { class: "try-buttons" },
      make("span", { class: "try-words" }, words),
      make("label", { class: "try-check" }, "heat map ", strength),
      button("Close", () => picture.close()),
    ),
    make("div", { class: "try-scroll", tabindex: 0 }, frame),
  );
  picture.showModal();
  showWorst(frame.parentElement, verdict);
}

// Where a photograph is larger than the window, its most suspicious place is in the middle.
function showWorst(scroller, { map, rows, columns, width, height }) {
  const worst = map.indexOf(map.reduce((most, each) => Math.max(most, each)));
  scroller.scrollTo(
    (((worst % columns) + 0.5) / columns) * width - scroller.clientWidth / 2,
    ((Math.floor(worst / columns) + 0.5) / rows) * height - scroller.clientHeight / 2,
  );
}

function table() {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const row = ({ file, score, error }) => ({
    file: nameOf(file),
    score: error ? "" : String(score),
    threshold: String(threshold()),
    error: error ?? "",
    defective: error ? "" : score > threshold() ? "True" : "False",
  });
  const lines = [
    learnt.columns,
    ...inOrder()
      .map(row)
      .map((each) => learnt.columns.map((column) => quoted(each[column]))),
  ];
  download(new Blob([lines.map((line) => `${line.join(",")}\r\n`).join("")], { type: "text/csv" }), "verdicts.csv");
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A file that is dropped beside the zones must not take the page's place.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

if (location.protocol === "file:") {
  root.replaceChildren(
    make(
      "p",
      { class: "try-alert" },
      "This one page needs a web server, since browsers start no scripts from a file. In the folder of the book: python3 -m http.server, then open http://localhost:8000.",
    ),
  );
}
