// Drag a threshold: histogram, ROC point, confusion matrix, F1 and the gallery of misses follow.

const WIDE = 420, HIGH = 170, FOOT = 24, SIDE = 170;

function counted(scores, truth, threshold) {
  const counts = { tp: 0, fp: 0, tn: 0, fn: 0 };
  scores.forEach((score, index) => {
    const declared = score > threshold;
    if (truth[index]) declared ? (counts.tp += 1) : (counts.fn += 1);
    else declared ? (counts.fp += 1) : (counts.tn += 1);
  });
  const both = 2 * counts.tp + counts.fp + counts.fn;
  counts.tpr = counts.tp / (counts.tp + counts.fn);
  counts.fpr = counts.fp / (counts.fp + counts.tn);
  counts.f1 = both ? (2 * counts.tp) / both : 0;
  return counts;
}

// Every threshold that changes a verdict, halfway between neighbours, and the learnt one.
function cutsOf(scores, learnt) {
  const sorted = [...new Set(scores)].sort((a, b) => a - b);
  const gaps = sorted.slice(1).map((score, index) => (score + sorted[index]) / 2);
  const margin = (sorted[sorted.length - 1] - sorted[0]) * 0.01 || 1;
  const cuts = [sorted[0] - margin, ...gaps, sorted[sorted.length - 1] + margin, learnt];
  return [...new Set(cuts)].sort((a, b) => a - b);
}

function histogram(scores, truth, learnt) {
  const sorted = [...scores].sort((a, b) => a - b);
  const low = Math.min(sorted[0], learnt);
  const most = sorted[Math.floor(0.99 * (sorted.length - 1))];
  const far = sorted[sorted.length - 1];
  const high = Math.max(far - low > 1.5 * (most - low) && most > low ? most : far, learnt, low + 1e-12);
  const bins = 36;
  const place = (score) => (WIDE * (Math.min(Math.max(score, low), high) - low)) / (high - low);
  const shares = [false, true].map((anomalous) => {
    const heights = new Array(bins).fill(0);
    const values = scores.filter((_, index) => Boolean(truth[index]) === anomalous);
    for (const score of values) {
      heights[Math.min(bins - 1, Math.floor((place(score) / WIDE) * bins))] += 1 / values.length;
    }
    return heights;
  });
  const top = Math.max(...shares.flat());
  const plot = shape("svg", { viewBox: `-6 0 ${WIDE + 12} ${HIGH + FOOT}`, class: "adlib-plot" });
  shares.forEach((heights, anomalous) => {
    const steps = heights.map((share, bin) => {
      const y = HIGH - (share / top) * (HIGH - 12);
      return `L${(WIDE * bin) / bins} ${y}L${(WIDE * (bin + 1)) / bins} ${y}`;
    });
    const outline = `M0 ${HIGH}${steps.join("")}L${WIDE} ${HIGH}Z`;
    plot.append(shape("path", { d: outline, class: anomalous ? "adlib-anomalous" : "adlib-normal" }));
  });
  plot.append(shape("line", { x1: 0, x2: WIDE, y1: HIGH, y2: HIGH, class: "adlib-axis" }));
  for (const [x, value, anchor] of [[0, low, "start"], [WIDE, high, "end"]]) {
    plot.append(shape("text", { x, y: HIGH + 17, "text-anchor": anchor }, short(value)));
  }
  const dashed = { x1: place(learnt), x2: place(learnt), y1: 0, y2: HIGH, class: "adlib-learnt" };
  const line = shape("line", { y1: 0, y2: HIGH, class: "adlib-cut" });
  plot.append(shape("line", dashed), line);
  const move = (cut) => {
    line.setAttribute("x1", place(cut));
    line.setAttribute("x2", place(cut));
  };
  return { plot, move };
}

function rocCurve(scores, truth, cuts) {
  const points = cuts.map((cut) => counted(scores, truth, cut));
  const at = (counts) => [SIDE * counts.fpr, SIDE * (1 - counts.tpr)];
  const plot = shape("svg", { viewBox: `-22 -8 ${SIDE + 30} ${SIDE + 32}`, class: "adlib-plot" });
  plot.append(
    shape("rect", { width: SIDE, height: SIDE, class: "adlib-frame" }),
    shape("line", { x1: 0, y1: SIDE, x2: SIDE, y2: 0, class: "adlib-chance" }),
    shape("polyline", { points: points.map(at).map(String).join(" "), class: "adlib-curve" }),
    shape("text", { x: SIDE / 2, y: SIDE + 18, "text-anchor": "middle" }, "false-positive rate"),
    shape("text", { x: -SIDE / 2, y: -8, "text-anchor": "middle", transform: "rotate(-90)" }, "true-positive rate"),
  );
  const dot = shape("circle", { r: 6, class: "adlib-dot" });
  plot.append(dot);
  const move = (counts) => {
    const [x, y] = at(counts);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
  };
  return { plot, move };
}

function confusionTable() {
  const cells = {};
  const cell = (name, word, right) => {
    const count = (cells[name] = element("strong"));
    const ground = right ? "adlib-right" : "adlib-wrong";
    return element("td", { class: ground }, count, element("span", {}, word));
  };
  const head = (text, colour) => element("th", { scope: colour ? "row" : "col", class: colour }, text);
  const table = element(
    "table",
    { class: "adlib-confusion" },
    element("caption", {}, "Confusion matrix"),
    element("tr", {}, element("td"), head("below"), head("above")),
    element("tr", {}, head("normal", "adlib-of-normal"), cell("tn", "passed", true), cell("fp", "false alarms")),
    element("tr", {}, head("anomalous", "adlib-of-anomalous"), cell("fn", "missed"), cell("tp", "found", true)),
  );
  const move = (counts) => {
    for (const name of Object.keys(cells)) cells[name].textContent = counts[name];
  };
  return { table, move };
}

function gallery(model) {
  const [scores, truth, kinds] = ["scores", "labels", "kinds"].map((name) => model.get(name));
  const strips = { missed: element("div"), alarms: element("div") };
  const heads = { missed: element("h4"), alarms: element("h4") };
  const node = element(
    "div",
    { class: "adlib-gallery" },
    ...["missed", "alarms"].map((name) => element("section", {}, heads[name], strips[name])),
  );
  const fill = (name, word, chosen) => {
    const nearest = chosen.slice(0, 8);
    heads[name].textContent = `${word}: ${chosen.length}` + (chosen.length > 8 ? ", nearest eight" : "");
    const words = (index) => `${word}: ${kinds[index]}, score ${short(scores[index])}`;
    strips[name].replaceChildren(...nearest.map((index) => tile(model, index, words(index))));
  };
  const move = (threshold) => {
    const order = scores.map((_, index) => index);
    order.sort((a, b) => Math.abs(scores[a] - threshold) - Math.abs(scores[b] - threshold));
    fill("missed", "Missed", order.filter((index) => truth[index] && !(scores[index] > threshold)));
    fill("alarms", "False alarms", order.filter((index) => !truth[index] && scores[index] > threshold));
  };
  return { node, move };
}

function render({ model, el }) {
  const [scores, truth, learnt] = ["scores", "labels", "learnt"].map((name) => model.get(name));
  const cuts = cutsOf(scores, learnt);
  const bars = histogram(scores, truth, learnt);
  const roc = rocCurve(scores, truth, cuts);
  const table = confusionTable();
  const misses = model.get("sheet") ? gallery(model) : null;
  const words = spoken();
  const control = slider("Threshold: left finds more, right alarms less", {
    max: cuts.length - 1,
    value: 0,
    onMove: (position) => {
      model.set("threshold", cuts[position]);
      model.save_changes();
    },
  });
  const back = element("button", { type: "button", class: "adlib-button" }, "learnt threshold");
  back.addEventListener("click", () => {
    model.set("threshold", learnt);
    model.save_changes();
  });
  const update = () => {
    const threshold = model.get("threshold");
    const counts = counted(scores, truth, threshold);
    control.input.value = cuts.reduce(
      (best, cut, index) => (Math.abs(cut - threshold) < Math.abs(cuts[best] - threshold) ? index : best), 0,
    );
    bars.move(threshold);
    roc.move(counts);
    table.move(counts);
    misses?.move(threshold);
    const text =
      `Threshold ${short(threshold)}${threshold === learnt ? " (learnt)" : ""}: finds ${counts.tp} of ` +
      `${counts.tp + counts.fn} anomalies, refuses ${counts.fp} of ${counts.fp + counts.tn} normal images, ` +
      `F1 ${counts.f1.toFixed(3)}.`;
    words.textContent = text;
    control.inWords(text);
  };
  bars.plot.setAttribute("role", "img");
  bars.plot.setAttribute("aria-label", `Histogram of ${model.get("name")}, each class scaled to 100 %`);
  roc.plot.setAttribute("role", "img");
  roc.plot.setAttribute("aria-label", "ROC curve with the point of this threshold");
  const key = element(
    "p",
    { class: "adlib-key" },
    element("span", { class: "adlib-of-normal" }, "normal"), " · ",
    element("span", { class: "adlib-of-anomalous" }, "anomalous"), ` · ${model.get("name")} · `,
    element("span", { class: "adlib-muted" }, "dashed: learnt from validation-normals"),
  );
  const left = element("div", { class: "adlib-grow" }, key, bars.plot);
  const panels = element("div", { class: "adlib-panels" }, left, roc.plot, table.table);
  const head = element("div", { class: "adlib-head" }, control.row, back);
  el.append(element("div", { class: "adlib-widget" }, head, words, panels, misses?.node));
  model.on("change:threshold", update);
  update();
  return () => model.off("change:threshold", update);
}

export default { render };
