// The memory of patches, as adlib/detectors/patches.py has it: choosing it, and the distance to the nearest of it.
/* global tf */

const PORTION = 512; // places whose distances to a memory are held at once
const AHEAD = 16; // candidates whose distances to all are taken together

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
// One matrix product gives the distances to the candidates that are farthest now; nine times in ten the next one
// chosen is among them.
export async function wellSpread(candidates, depth, count, breathe) {
  const total = candidates.length / depth;
  count = Math.min(count, total);
  const chosen = new Int32Array(count),
    distances = new Float32Array(total).fill(Infinity);
  const squares = Float32Array.from({ length: total }, (_, row) => {
    let sum = 0;
    for (let at = row * depth; at < (row + 1) * depth; at++) sum += candidates[at] ** 2;
    return sum;
  });
  const turned = tf.tidy(() => tf.transpose(tf.tensor(candidates, [total, depth])));
  let products,
    places = new Map();
  for (let number = 1; number < count; number++) {
    const last = chosen[number - 1];
    if (!places.has(last)) {
      await breathe(number / count);
      const rows = [last, ...farthest(distances, AHEAD)];
      places = new Map(rows.map((row, place) => [row, place]));
      const some = Float32Array.from(
        { length: rows.length * depth },
        (_, at) => candidates[rows[Math.floor(at / depth)] * depth + (at % depth)],
      );
      products = valuesOf(() => tf.matMul(tf.tensor(some, [rows.length, depth]), turned));
    }
    const start = places.get(last) * total,
      own = squares[last];
    let next = 0,
      largest = -Infinity;
    for (let row = 0; row < total; row++) {
      const other = squares[row] + own - 2 * products[start + row];
      if (other < distances[row]) distances[row] = other;
      if (distances[row] > largest) {
        largest = distances[row];
        next = row;
      }
    }
    chosen[number] = next;
  }
  turned.dispose();
  return chosen;
}

// The rows of the largest distances, at most `count`, ascending.
function farthest(distances, count) {
  const rows = [];
  for (let row = 0; row < distances.length; row++) {
    if (rows.length === count) {
      if (distances[row] <= distances[rows[0]]) continue;
      rows.shift();
    }
    let place = rows.length;
    while (place > 0 && distances[rows[place - 1]] > distances[row]) place--;
    rows.splice(place, 0, row);
  }
  return rows;
}

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
    [this.turned, this.squares] = tf.tidy(() => {
      const memory = tf.tensor(places, [places.length / depth, depth]);
      return [tf.transpose(memory), tf.sum(tf.square(memory), 1)];
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
      const nearest = valuesOf(() =>
        tf.argMin(tf.sub(this.squares, tf.mul(tf.matMul(tf.tensor(part, [count, depth]), this.turned), 2)), 1),
      );
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
    tf.dispose([this.turned, this.squares]);
  }
}
