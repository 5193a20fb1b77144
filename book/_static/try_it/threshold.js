// A threshold from good images alone, as adlib/inspection/threshold.py has it, and in the same words.

// The k-th smallest score of good images: the lowest whose expected rate is not above `rate`.
export function thresholdFor(scores, rate) {
  const ordered = [...scores].sort((a, b) => a - b),
    count = ordered.length;
  const rank = Math.min(count, Math.ceil((1 - rate) * (count + 1) - 1e-9));
  return ordered[Math.max(rank, 1) - 1];
}

// What a threshold costs: {expected, low, high}, the rate of false alarms and its limits.
// The share of good images above the k-th smallest of n scores follows Beta(n + 1 - k, k).
export function cost(scores, value, confidence) {
  const count = scores.length,
    above = scores.filter((score) => score > value).length;
  const limit = (share) => quantile(above + 1, count, share);
  return {
    above,
    expected: (above + 1) / (count + 1),
    low: limit((1 - confidence) / 2),
    high: limit((1 + confidence) / 2),
  };
}

// Of Beta(successes, count + 1 - successes): where the chance of so many successes in `count` is `share`.
function quantile(successes, count, share) {
  let low = 0,
    high = 1;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (chance(successes, count, middle) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// Chance of at least `successes` in `count`, each with chance p.
function chance(successes, count, p) {
  let term = count * Math.log1p(-p),
    sum = successes <= 0 ? Math.exp(term) : 0;
  for (let number = 1; number <= count; number++) {
    term += Math.log((count - number + 1) / number) + Math.log(p) - Math.log1p(-p);
    if (number >= successes) sum += Math.exp(term);
  }
  return sum;
}

function needed(rate) {
  return Math.ceil(1 / rate - 1 - 1e-9);
}

// What is known of the false alarms, in a sentence or two; `rate`: the one that the threshold was set for, if it was.
export function words(scores, value, confidence, rate = null) {
  const { above, expected, low, high } = cost(scores, value, confidence),
    count = scores.length;
  let text =
    `From ${count === 1 ? "1 good image" : `${count} good images`}: ` +
    `about ${oneIn(expected)} good parts will be called defective, ` +
    `between ${oneIn(high)} and ${oneIn(low)} with ${Math.round(100 * confidence)} % confidence.`;
  if (rate !== null && count < needed(rate)) {
    text += ` Too few for ${oneIn(rate)}: that needs ${needed(rate)}; the threshold is the largest score of a good image.`;
  }
  if (above === 0 && value > Math.max(...scores))
    text += " No good image scored as high as this: how much rarer false alarms are here, so few cannot tell.";
  if (count > 1 && new Set(scores).size === 1)
    text += " All of them have the same score: this detector says nothing about these images.";
  return text;
}

// 0.02 -> "1 in 50", 0.7 -> "7 in 10".
export function oneIn(rate) {
  if (rate <= 0) return "none";
  if (rate > 0.4) return `${Math.max(1, Math.round(10 * rate))} in 10`;
  return rate < 0.15
    ? `1 in ${Math.round(1 / rate).toLocaleString("en")}`
    : `1 in ${(1 / rate).toFixed(1)}`.replace(".0", "");
}
