// What the book's widgets share. Joined in front of each widget's own module by adlib/viz/widgets.py.
// No request is made from here: everything shown is in the model's state.

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Three significant digits, no exponent for large numbers.
function short(value) {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

let labels = 0;

// A range input with its label; `inWords` is what a screen reader says instead of the bare position.
function slider(text, { max, value, onMove }) {
  const id = `adlib-slider-${(labels += 1)}-${Math.random().toString(36).slice(2, 8)}`;
  const input = element("input", { type: "range", id, min: 0, max, step: 1 });
  input.value = value;
  input.addEventListener("input", () => onMove(Number(input.value)));
  const row = element("div", { class: "adlib-slider" }, element("label", { for: id }, text), input);
  return { row, input, inWords: (words) => input.setAttribute("aria-valuetext", words) };
}

// One picture out of a sheet of equal pictures, as an element that is read as an image.
function tile(model, index, label) {
  const columns = model.get("columns");
  const rows = Math.ceil(model.get("count") / columns);
  const percent = (place, places) => (places > 1 ? (100 * place) / (places - 1) : 0);
  const node = element("span", { class: "adlib-tile", role: "img", "aria-label": label });
  node.style.backgroundImage = `url(${model.get("sheet")})`;
  node.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  node.style.backgroundPosition =
    `${percent(index % columns, columns)}% ${percent(Math.floor(index / columns), rows)}%`;
  return node;
}

function spoken() {
  return element("p", { class: "adlib-spoken", role: "status", "aria-live": "polite" });
}
