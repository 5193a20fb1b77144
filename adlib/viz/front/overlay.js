// Lay the anomaly maps over the images; the slider sets how much of them is seen.

function render({ model, el }) {
  const names = model.get("names");
  const words = spoken();
  const images = element("img", { class: "adlib-strip", src: model.get("images") });
  images.alt = `Images: ${names.join(", ")}`;
  const maps = element("img", { class: "adlib-strip adlib-over", src: model.get("maps") });
  maps.alt = `Their anomaly maps, from dark to bright; strongest value as a share of the scale: ${model
    .get("peaks")
    .map((peak, index) => `${names[index]} ${Math.round(100 * peak)} %`)
    .join(", ")}`;
  const stack = element("div", { class: "adlib-stack" }, images, maps);
  if (model.get("outlines")) {
    const outlines = element("img", { class: "adlib-strip adlib-over", src: model.get("outlines") });
    outlines.alt = "Outlines of the true defects";
    stack.append(outlines);
  }
  const control = slider("Opacity of the anomaly map", {
    max: 100,
    value: model.get("opacity"),
    onMove: (opacity) => {
      model.set("opacity", opacity);
      model.save_changes();
    },
  });
  const update = () => {
    const opacity = model.get("opacity");
    control.input.value = opacity;
    maps.style.opacity = opacity / 100;
    words.textContent = `${opacity} % map, ${100 - opacity} % image.`;
    control.inWords(`${opacity} per cent`);
  };
  const heads = element("div", { class: "adlib-columns" }, ...names.map((name) => {
    const colour = name === "good" ? "adlib-of-normal" : "adlib-of-anomalous";
    return element("span", { class: colour }, name.replaceAll("_", " "));
  }));
  heads.style.gridTemplateColumns = `repeat(${names.length}, 1fr)`;
  el.append(
    element("div", { class: "adlib-widget" }, control.row, words,
      element("div", { class: "adlib-scroll" }, heads, stack)),
  );
  model.on("change:opacity", update);
  update();
  return () => model.off("change:opacity", update);
}

export default { render };
