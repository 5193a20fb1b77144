// Scrub through training: the same images, redrawn by the network as it was at each checkpoint.

function render({ model, el }) {
  const [steps, strips, errors, names] = ["steps", "strips", "errors", "names"].map((name) => model.get(name));
  const words = spoken();
  const redrawn = element("img", { class: "adlib-strip" });
  const original = element("img", { class: "adlib-strip", src: model.get("originals") });
  original.alt = `Images: ${names.join(", ")}`;
  const control = slider("Training step", {
    max: steps.length - 1,
    value: model.get("position"),
    onMove: (position) => {
      model.set("position", position);
      model.save_changes();
    },
  });
  const update = () => {
    const position = model.get("position");
    control.input.value = position;
    redrawn.src = strips[position];
    const each = names.map((name, index) => `${name} ${short(errors[position][index])}`).join(", ");
    redrawn.alt = `Reconstructions and differences at step ${steps[position]}. Mean difference: ${each}`;
    const mean = (normal) => {
      const values = errors[position].filter((_, index) => (names[index] === "good") === normal);
      return values.length ? short(values.reduce((sum, value) => sum + value, 0) / values.length) : null;
    };
    const parts = [[mean(true), "normal"], [mean(false), "defective"]].filter(([value]) => value !== null);
    const text =
      `Step ${steps[position]}: mean difference ` +
      parts.map(([value, kind]) => `${value} grey levels on the ${kind} images`).join(", ") + ".";
    words.textContent = text;
    control.inWords(text);
  };
  const heads = element("div", { class: "adlib-columns" }, ...names.map((name) => {
    const colour = name === "good" ? "adlib-of-normal" : "adlib-of-anomalous";
    return element("span", { class: colour }, name.replaceAll("_", " "));
  }));
  heads.style.gridTemplateColumns = `repeat(${names.length}, 1fr)`;
  const rows = element("div", { class: "adlib-scroll" }, heads, original, redrawn);
  const key = element("p", { class: "adlib-key adlib-muted" }, "rows: image, reconstruction, difference");
  el.append(element("div", { class: "adlib-widget" }, control.row, words, rows, key));
  model.on("change:position", update);
  update();
  return () => model.off("change:position", update);
}

export default { render };
