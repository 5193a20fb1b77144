// Which image is defective? The reader against the detector, on the same images.

function render({ model, el }) {
  const [rounds, answers, choices, kinds] =
    ["rounds", "answers", "choices", "kinds"].map((name) => model.get(name));
  const head = element("p", { class: "adlib-head" });
  const board = element("div", { class: "adlib-board" });
  const words = spoken();
  const next = element("button", { type: "button", class: "adlib-button" }, "next");
  let round = 0, reader = 0, detector = 0;

  const answered = (picked) => {
    const right = answers[round];
    reader += picked === right;
    detector += choices[round] === right;
    [...board.children].forEach((button, place) => {
      button.disabled = true;
      if (place === right) button.classList.add("adlib-is-right");
      else if (place === picked) button.classList.add("adlib-is-wrong");
    });
    const kind = kinds[rounds[round][right]].replaceAll("_", " ");
    words.textContent =
      (picked === right ? "Right. " : `No: it is image ${right + 1}. `) + `(${kind}) ` +
      (choices[round] === right ? "The detector found it too. " : `The detector chose image ${choices[round] + 1}. `) +
      `You ${reader}, detector ${detector}, of ${round + 1}.`;
    next.textContent = round + 1 < rounds.length ? "next" : "play again";
    next.hidden = false;
    next.focus({ preventScroll: true });
  };
  const deal = () => {
    head.textContent = `Round ${round + 1} of ${rounds.length}: one of these is defective. Which?`;
    board.replaceChildren(...rounds[round].map((index, place) => {
      const button = element("button", { type: "button", class: "adlib-choice" });
      button.append(tile(model, index, `image ${place + 1}`), element("span", {}, String(place + 1)));
      button.addEventListener("click", () => answered(place));
      return button;
    }));
    next.hidden = true;
  };
  next.addEventListener("click", () => {
    round += 1;
    if (round === rounds.length) [round, reader, detector] = [0, 0, 0];
    words.textContent = "";
    deal();
    board.firstElementChild.focus({ preventScroll: true });
  });
  deal();
  el.append(element("div", { class: "adlib-widget" }, head, board, words, next));
}

export default { render };
