// Tiles: how photographs are cut that would lose too much when squeezed. As adlib/inspection/tiles.py has it.

export const OVERLAP = 0.25; // of neighbouring tiles, a share of their side
export const LEAST_SIDE = 8; // pixels of a tile
export const MOST_TILES = 10_000; // of one photograph
const OBLONG = 1.5, // longer side to shorter, above which squeezing is not done without asking
  LARGE = 3; // shorter side to what the detector sees, likewise

// Where tiles begin along an axis: evenly, the last flush with the end.
export function starts(length, { side, overlap }) {
  if (length <= side) return [0];
  const stride = Math.max(1, Math.floor(side * (1 - overlap))),
    last = Math.ceil((length - side) / stride),
    step = (length - side) / last;
  return Array.from({ length: last + 1 }, (_, number) => rounded(number * step));
}

// Halves to the even neighbour, as NumPy has it.
export function rounded(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

// [top, left] of every tile.
export function placesOf({ width, height }, tiling) {
  return starts(height, tiling).flatMap((top) => starts(width, tiling).map((left) => [top, left]));
}

// Whether photographs are better cut than squeezed to `seen` pixels: null, or {side, tiles, words}, with the tiles of a
// photograph of middling size. sizes: [{width, height}].
export function advice(sizes, seen) {
  const shorter = ({ width, height }) => Math.min(width, height),
    ordered = [...sizes].sort((some, other) => shorter(some) - shorter(other)),
    middle = ordered[Math.floor(ordered.length / 2)],
    oblong = sizes.filter((size) => Math.max(size.width, size.height) > OBLONG * shorter(size)).length,
    large = sizes.filter((size) => shorter(size) > LARGE * seen).length;
  if (2 * Math.max(oblong, large) <= sizes.length) return null;
  const side = large > oblong ? Math.ceil(shorter(middle) / LARGE) : Math.max(LEAST_SIDE, shorter(middle));
  const many = Math.max(oblong, large),
    which = many === sizes.length ? `These ${many}` : `${many} of these ${sizes.length}`;
  return {
    side,
    tiles: placesOf(middle, { side, overlap: OVERLAP }).length,
    words: `${which} photographs are ${large > oblong ? "large" : "oblong"} (such as ${middle.width} × ${middle.height} pixels).`,
  };
}
