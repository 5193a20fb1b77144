// The memory of patches, as adlib/detectors/patches.py has it: choosing it, and the distance to the nearest of it.
/* global tf */

const PORTION = 512; // places whose distances to a memory are held at once
const AHEAD = 96; // candidates that the next ones are looked for among

// The values of the tensor that `compute` returns. (An array must not be what tf.tidy returns: it would look for tensors
// at each of its places.)
export function valuesOf(compute) {
  const result = tf.tidy(compute),
    values = result.dataSync();
  result.dispose();
  return values;
}

// Candidates chosen one after the other, each the one farthest from all that were chosen; the first is the first.
// candidates: Float32Array (N, depth). Returns min(count, N) rows, in the order of the choice.
// `breathe` is awaited now and then, with the share that is done.
// Distances only shrink. So as long as one of the AHEAD candidates that were farthest is still farther than all others
// were, it is the next, and only those few need their distances; one matrix product then lowers the distances of all.
export async function wellSpread(candidates, depth, count, breathe) {
  const total = candidates.length / depth,
    chosen = [],
    distances = new Float32Array(total).fill(Infinity), // squared, to the nearest chosen one
    squares = Float32Array.from({ length: total }, (_, row) => squared(candidates, depth, row));
  count = Math.min(count, total);
  const all = tf.tidy(() => withOnes(candidates, total, depth));
  for (let fresh = [0]; ; fresh = nextOnes(candidates, depth, distances, count - chosen.length)) {
    chosen.push(...fresh);
    if (chosen.length === count) break;
    await breathe(chosen.length / count);
    // (all, 1) times (-2 fresh, |fresh|^2), of which the least of each row: the squared distance but for the row's own.
    const few = new Float32Array((depth + 1) * fresh.length);
    for (const [column, row] of fresh.entries()) {
      for (let i = 0; i < depth; i++) few[i * fresh.length + column] = -2 * candidates[row * depth + i];
      few[depth * fresh.length + column] = squares[row];
    }
    const least = valuesOf(() => tf.min(tf.matMul(all, tf.tensor(few, [depth + 1, fresh.length])), 1));
    for (let row = 0; row < total; row++) distances[row] = Math.min(distances[row], squares[row] + least[row]);
  }
  all.dispose();
  return Int32Array.from(chosen);
}

// The next of `wellSpread`, at least one and at most `most`.
function nextOnes(candidates, depth, distances, most) {
  const rows = farthest(distances, AHEAD + 1),
    bound = rows.length > AHEAD ? distances[rows.shift()] : -Infinity, // no other candidate is farther
    left = rows.map((row) => distances[row]),
    fresh = [];
  for (let at = rows.length - 1; fresh.length === 0 || (left[at] > bound && fresh.length < most);) {
    fresh.push(rows[at]);
    for (const [other, row] of rows.entries())
      left[other] = Math.min(left[other], squared(candidates, depth, row, rows[at]));
    left[at] = -Infinity;
    at = left.reduce(
      (far, each, other) => (each > left[far] || (each === left[far] && rows[other] < rows[far]) ? other : far),
      0,
    );
  }
  return fresh;
}

// The rows of the largest distances, at most `count`, ascending; of equals the lower row is the larger.
function farthest(distances, count) {
  const order = (some, other) => distances[some] - distances[other] || other - some,
    rows = Array.from({ length: Math.min(count, distances.length) }, (_, row) => row).sort(order);
  for (let row = rows.length; row < distances.length; row++) {
    const own = distances[row];
    if (own <= distances[rows[0]]) continue;
    let place = 0; // most come in low
    for (; place + 1 < count && distances[rows[place + 1]] < own; place++) rows[place] = rows[place + 1];
    rows[place] = row;
  }
  return rows;
}

// The squared distance of a row to another, or to zero.
function squared(candidates, depth, row, other) {
  let sum = 0;
  for (let i = 0; i < depth; i++) {
    const from = other === undefined ? 0 : candidates[other * depth + i];
    sum += (candidates[row * depth + i] - from) ** 2;
  }
  return sum;
}

// Rows with a 1 at their end, as a tensor (rows, depth + 1).
const withOnes = (values, rows, depth) => tf.concat([tf.tensor(values, [rows, depth]), tf.ones([rows, 1])], 1);

// candidates (N, depth) times directions (depth, count), as Float32Array (N, count).
export function project(candidates, depth, directions, count) {
  const rows = candidates.length / depth;
  return valuesOf(() => tf.matMul(tf.tensor(candidates, [rows, depth]), tf.tensor(directions, [depth, count])));
}

// Places that have been seen on good images; asked how far others are from the nearest of them.
export class Memory {
  // places: Float32Array (M, depth).
  constructor(places, depth) {
    this.places = places;
    this.depth = depth;
    // (-2 b, |b|^2) in columns: with (a, 1) in rows, one product gives |b|^2 - 2 a b.
    this.turned = tf.tidy(() => {
      const memory = tf.tensor(places, [places.length / depth, depth]);
      return tf.transpose(tf.concat([tf.mul(memory, -2), tf.sum(tf.square(memory), 1, true)], 1));
    });
  }

  // Euclidean distance of each place, Float32Array (N, depth), to the nearest in the memory: Float64Array (N).
  // The nearest is the one of the smallest |b|^2 - 2 a b; the distance is then taken from the differences.
  distances(places) {
    const { depth } = this,
      total = places.length / depth,
      result = new Float64Array(total);
    for (let first = 0; first < total; first += PORTION) {
      const count = Math.min(PORTION, total - first);
      const part = places.subarray(first * depth, (first + count) * depth);
      const nearest = valuesOf(() => tf.argMin(tf.matMul(withOnes(part, count, depth), this.turned), 1));
      for (let row = 0; row < count; row++) {
        let sum = 0;
        for (let i = 0, from = row * depth, to = nearest[row] * depth; i < depth; i++) {
          const difference = part[from + i] - this.places[to + i];
          sum += difference * difference;
        }
        result[first + row] = Math.sqrt(sum);
      }
    }
    return result;
  }

  dispose() {
    this.turned.dispose();
  }
}
