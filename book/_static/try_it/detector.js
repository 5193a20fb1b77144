// patch_memory: what is learnt from good photographs, and what is said of others.
// As adlib/detectors/patches.py, adlib/inspection/inspector.py and adlib/inspection/tiles.py have it.
import { Memory, project, wellSpread } from "./memory.js";
import { pythonJson, writeTensors } from "./model_file.js";
import { Photograph, Refused } from "./photographs.js";
import { Generator, choice, permutation } from "./random.js";
import { thresholdFor } from "./threshold.js";
import { MOST_TILES, placesOf, rounded } from "./tiles.js";

export const MOST_GOOD = 200; // photographs to learn from
const LEAST_GOOD = 2;
const MOST_OF_A_MAP = 512; // pixels of the longer side of a map that is given to the page

// How many numbers a place has, and how many rows and columns of them what the network sees.
function geometry(settings, config, size) {
  const seen = Math.round(size * Math.max(1, config.input_size / size));
  const depth = config.blocks.reduce((sum, block) => sum + settings.channels[block], 0);
  return { seen, depth, places: Math.ceil(seen / settings.strides[config.blocks[0]]) ** 2 };
}

export class Detector {
  // memory: Memory; size: side of what it looks at, pixels; channels: 1 or 3.
  constructor(network, config, size, channels, memory) {
    Object.assign(this, { network, config, size, channels, memory });
    this.geometry = geometry(network.settings, config, size);
  }

  // What the network sees, Float32Array (places, depth). pixels: Uint8 RGB (size, size).
  features(pixels) {
    return this.network.features(
      pixels,
      this.size,
      this.size,
      [this.geometry.seen, this.geometry.seen],
      this.config.blocks,
    ).values;
  }

  // {score, map}: the map is Float32Array (size, size).
  examine(features) {
    const distances = this.memory.distances(features),
      side = Math.sqrt(distances.length);
    const mean = distances.reduce((sum, each) => sum + each, 0) / distances.length;
    const score = Math.fround(this.config.score === "mean_distance" ? mean : Math.max(...distances));
    const sigma = (this.config.blur * this.size) / this.geometry.seen;
    return { score, map: blurred(enlarged(distances, side, this.size), this.size, sigma) };
  }
}

// Learns from good photographs: {detector, tiling, images, scores, threshold, mapScale, brightness, notes, errors, ...}.
// files: in order; tiling: {side, overlap}, or null to squeeze them. say(words, done) is awaited between steps, done from 0
// to 1; it throws to cancel.
export async function learn(network, files, tiling, falseAlarms, say) {
  const { settings } = network,
    { config, size, seed } = settings;
  if (files.length > MOST_GOOD)
    throw new Refused(
      `That is ${files.length} photographs; this page learns from up to ${MOST_GOOD}. Take fewer, or adlib fit.`,
    );
  const blank = new Detector(network, config, size, 3, null),
    { depth } = blank.geometry,
    quota = Math.max(1, Math.floor(Math.floor(settings.crops / (3 * size ** 2)) / Math.max(1, files.length))),
    images = [],
    errors = [],
    twice = [],
    digests = new Set();
  let room = settings.cached;
  for (const [number, file] of files.entries()) {
    const words = `reading ${number + 1} of ${files.length}`;
    await say(words, (0.35 * number) / files.length);
    try {
      const image = await studied(file, size, tiling, (count) => choice(seed, number, count, Math.min(quota, count)));
      if (digests.has(image.digest)) {
        twice.push(file.name);
        continue;
      }
      digests.add(image.digest);
      images.push(image);
      if (image.crops.length > room) continue;
      room -= image.crops.length;
      const cached = [];
      for await (const features of seen(blank, image)) {
        cached.push(features);
        await say(words, (0.35 * (number + cached.length / image.crops.length)) / files.length);
      }
      image.features = cached;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      errors.push({ file: file.name, error: error.message });
    } finally {
      delete images.at(-1)?.pixels; // once looked at
    }
  }
  if (images.length < LEAST_GOOD)
    throw new Refused(
      `${images.length} good photographs; at least ${LEAST_GOOD} are needed, and twenty are a good beginning. ${errors[0] ? `'${errors[0].file}' ${errors[0].error}` : ""}`,
    );
  const order = permutation(seed, images.length),
    scores = [];
  const folds = Array.from({ length: Math.min(settings.folds, images.length) }, (_, first) =>
    order.filter((_, at) => at % settings.folds === first),
  );
  const sets = [...folds.map((fold) => images.filter((_, at) => !fold.includes(at))), images];
  const groups = await candidates(blank, sets, images, (share) => say("looking once more", 0.35 + 0.1 * share));
  let mapScale = 0;
  const channels = images.some((image) => image.coloured) ? 3 : 1;
  for (const [number, fold] of folds.entries()) {
    const words = `threshold, part ${number + 1} of ${folds.length}`;
    const memory = await remember(config, depth, groups.shift(), (share) =>
      say(words, 0.45 + 0.1 * (number + share / 2)),
    );
    const part = new Detector(network, config, size, channels, memory);
    for (const [place, at] of fold.entries()) {
      const done = (share) => say(words, 0.45 + 0.1 * (number + 0.5 + (place + share) / fold.length / 2));
      await done(0);
      const { score, map } = await judgedGood(part, images[at], tiling, done);
      scores.push(score);
      mapScale = quantile(map, settings.map_quantile, mapScale);
    }
    memory.dispose();
  }
  const memory = await remember(config, depth, groups.shift(), (share) =>
    say("learning from all of them", 0.85 + 0.15 * share),
  );
  const grey = images.filter(({ coloured }) => !coloured).length,
    empty = images.filter((image) => image.blank).length,
    small = images.filter(({ width, height }) => !tiling && isEnlarged(width, height, size));
  const [squeezed, taken, cut] = [
    images.filter(({ width, height }) => !tiling && width !== height).length,
    images.reduce((sum, { crops }) => sum + crops.length, 0),
    images.reduce((sum, { tiles }) => sum + tiles, 0),
  ];
  const notes = [
    ...(grey > 0 && grey < images.length
      ? [`${grey} of ${images.length} images are grey, the others coloured: all have three channels.`]
      : []),
    ...(empty ? [`${empty} of ${images.length} images have the same value everywhere and show nothing.`] : []),
    ...errors
      .slice(0, 1)
      .map(({ file, error }) => `Not readable and left out: ${plural(errors.length, "file")} (${file} ${error})`),
    ...twice
      .slice(0, 1)
      .map((name) => `There twice, pixel by pixel, and taken once: ${plural(twice.length, "image")} (e.g. ${name}).`),
    ...(squeezed
      ? [`Not square, squeezed to ${size} x ${size} pixels: ${plural(squeezed, "image")}; --tile keeps their shape.`]
      : []),
    ...small
      .sort((some, other) => some.width * some.height - other.width * other.height)
      .slice(0, 1)
      .map(
        ({ width, height }) =>
          `Enlarged at least twofold, to ${size} x ${size} pixels: ${plural(small.length, "image")}, ` +
          `the smallest from ${width} x ${height}.`,
      ),
    ...(taken < cut ? [`${counted(taken)} of ${counted(cut)} tiles were learnt from, drawn at random.`] : []),
  ];
  return {
    detector: new Detector(network, config, size, channels, memory),
    tiling,
    images: images.length,
    scores,
    threshold: thresholdFor(scores, falseAlarms),
    falseAlarms,
    mapScale,
    brightness: images.reduce((sum, image) => sum + image.brightness, 0) / images.length,
    digests: images.map((image) => image.digest),
    appearances: images.map((image) => image.appearance),
    notes,
    errors,
  };
}

// As ENLARGED of adlib/inspection/inspector.py.
const isEnlarged = (width, height, size) => 2 * Math.max(width, height) <= size;
const counted = (count) => count.toLocaleString("en");
export const plural = (count, noun) => `${counted(count)} ${noun}${count === 1 ? "" : "s"}`;

// What is to be known of a good photograph. `crops`: the places of the tiles to learn from, [null] where it is squeezed;
// `tiles`: how many there are. draw(count) chooses the crops.
async function studied(file, size, tiling, draw) {
  const photograph = await Photograph.open(file);
  try {
    const places = tiling ? tilesOf(photograph, tiling) : [null],
      { width, height } = photograph;
    const crops = draw(places.length).map((number) => places[number]);
    return { ...photograph.squeezed(size, true), file, width, height, tiling, crops, tiles: places.length };
  } finally {
    photograph.close();
  }
}

// The features of each crop of a good photograph, one after the other: cached ones, or taken anew.
async function* seen(detector, { features, crops, tiling, file, pixels }) {
  if (features) {
    yield* features;
    return;
  }
  if (!tiling && pixels) {
    yield detector.features(pixels);
    return;
  }
  const photograph = await Photograph.open(file);
  try {
    for (const place of crops)
      yield detector.features(
        place ? photograph.tile(...place, tiling.side, detector.size) : photograph.squeezed(detector.size).pixels,
      );
  } finally {
    photograph.close();
  }
}

// Score and map of a good photograph, looked at in the way that all others will be.
async function judgedGood(detector, image, tiling, say) {
  const { features, crops, tiles } = image;
  if (!tiling) for await (const each of seen(detector, image)) return detector.examine(each);
  const photograph = await Photograph.open(image.file);
  try {
    const cached = features && crops.length === tiles ? features : null;
    return await examineTiled(detector, photograph, tiling, say, cached);
  } finally {
    photograph.close();
  }
}

// For each set of images the places that its memory is chosen from, drawn as `_learn` of patch_memory does:
// [{values: Float32Array (N, depth), generator}]. The features of no image are needed twice for it.
async function candidates(detector, sets, images, say) {
  const { config, seed } = detector.network.settings,
    { depth, places } = detector.geometry;
  const groups = sets.map((members) => {
    const generator = new Generator(seed),
      total = places * members.reduce((sum, { crops }) => sum + crops.length, 0);
    generator.bits(); // two numbers are drawn when a detector is made
    generator.bits();
    const drawn = generator.permutation(total).slice(0, config.candidates).sort();
    return {
      members: new Set(members),
      generator,
      drawn,
      values: new Float32Array(drawn.length * depth),
      row: 0,
      first: 0,
    };
  });
  for (const [number, image] of images.entries()) {
    if (!image.features) await say(number / images.length);
    const here = groups.filter(({ members }) => members.has(image));
    for await (const features of seen(detector, image)) {
      if (!image.features) await say(number / images.length);
      for (const group of here) {
        const { drawn, values, first } = group;
        for (; drawn[group.row] < first + places; group.row++) {
          const from = (drawn[group.row] - first) * depth;
          values.set(features.subarray(from, from + depth), group.row * depth);
        }
        group.first += places;
      }
    }
  }
  return groups;
}

// The memory of what good images show, chosen from candidates as there.
async function remember(config, depth, { values, generator }, say) {
  const directions = generator.normal(depth * config.projection);
  const rows = await wellSpread(
    project(values, depth, directions, config.projection),
    config.projection,
    config.memory,
    say,
  );
  const memory = new Float32Array(rows.length * depth);
  for (const [number, row] of rows.entries())
    memory.set(values.subarray(row * depth, (row + 1) * depth), number * depth);
  return new Memory(memory, depth);
}

// The detector that a file of adlib holds, with its threshold.
export function fromFile(network, { tensors, metadata }) {
  if (!metadata.adlib) throw new Refused("holds tensors but no adlib detector.");
  const about = JSON.parse(metadata.adlib),
    { settings } = network;
  if (about.name !== "patch_memory")
    throw new Refused(`holds a ${about.name}; this page reads patch_memory, which adlib fit takes by default.`);
  if (!metadata.inspection) throw new Refused("holds a detector without a threshold: write one with adlib fit.");
  const beside = JSON.parse(metadata.inspection),
    { config } = about;
  if (about.format > settings.format || beside.format > settings.inspection_format)
    throw new Refused("was written by a newer version of adlib than this page's.");
  if (about.value_range)
    throw new Refused("was fitted to images of more than 8 bits, of which a browser gives 8: score with adlib score.");
  if (config.blocks.at(-1) >= settings.channels.length)
    throw new Refused(
      `asks block ${config.blocks.at(-1)} of the network; this page has those up to ${settings.channels.length - 1}.`,
    );
  const { shape, values } = tensors["memory.places"];
  const [channels, size] = about.image_shape,
    memory = new Memory(Float32Array.from(values), shape[1]);
  return {
    detector: new Detector(network, config, size, channels, memory),
    tiling: beside.tiling,
    images: beside.images,
    scores: beside.threshold.scores,
    threshold: beside.threshold.value,
    falseAlarms: beside.threshold.false_alarms,
    mapScale: about.map_scale,
    brightness: beside.brightness,
    notes: beside.notes,
    errors: [],
  };
}

// A learnt detector as a file that adlib reads: `Detector.load`, `Inspector.load`, `adlib score`.
export function toFile(learnt, threshold, settings, digestOfText) {
  const { detector, scores, mapScale } = learnt,
    { memory, size, channels, config } = detector;
  const rest = {
    image_shape: [channels, size, size],
    thresholds: { [config.score]: threshold.value },
    map_scale: mapScale,
  };
  const inspection = {
    format: settings.inspection_format,
    threshold: {
      value: threshold.value,
      false_alarms: threshold.falseAlarms,
      scores: [...scores].sort((a, b) => a - b),
    },
    tiling: learnt.tiling,
    images: learnt.images,
    fingerprint: digestOfText([...learnt.digests].sort().join("")).slice(0, 16),
    brightness: learnt.brightness,
    notes: learnt.notes,
    appearances: learnt.appearances,
  };
  const places = { shape: [memory.places.length / memory.depth, memory.depth], values: memory.places };
  const adlib = `${settings.fixed.slice(0, -1)}, ${pythonJson(rest).slice(1)}`;
  const digests = [...learnt.digests].sort().join(" ");
  return writeTensors({ "memory.places": places }, { adlib, inspection: pythonJson(inspection), learnt: digests });
}

// {score, map, rows, columns, thumbnail, width, height, remark} of a photograph; `map` is grey as `adlib score --maps`
// writes it: 128 is as suspicious as any place of a good image was, 255 twice that or more.
export async function judge({ detector, mapScale, tiling }, file, say) {
  const photograph = await Photograph.open(file),
    { width, height } = photograph,
    { size } = detector;
  try {
    const { pixels, coloured, blank } = photograph.squeezed(size);
    if (detector.channels === 1 && coloured)
      throw new Refused(
        "is coloured; this detector was fitted to grey photographs. " +
          "Convert it the way those were, or learn from coloured ones.",
      );
    const seen = tiling
      ? await examineTiled(detector, photograph, tiling, say)
      : { ...detector.examine(detector.features(pixels)), rows: size, columns: size };
    const { map, rows, columns } = worstOfBlocks(seen, Math.ceil(Math.max(seen.rows, seen.columns) / MOST_OF_A_MAP));
    const grey = Uint8Array.from(map, (value) =>
      Math.min(255, Math.round((value * 127.5) / Math.max(mapScale || 1, 1e-12))),
    );
    const remark = [
      blank && "has the same value everywhere and shows nothing",
      !tiling && width !== height && `is not square and was squeezed to ${size} x ${size} pixels`,
      !tiling && isEnlarged(width, height, size) && `was enlarged at least twofold, to ${size} x ${size} pixels`,
      tiling &&
        Math.min(width, height) < tiling.side &&
        `is smaller than a tile of ${tiling.side} pixels and was continued by its mirror image`,
    ]
      .filter(Boolean)
      .join("; ");
    const thumbnail = await photograph.thumbnail(360);
    return { score: seen.score, map: grey, rows, columns, thumbnail, width, height, remark };
  } finally {
    photograph.close();
  }
}

function tilesOf(photograph, tiling) {
  const places = placesOf(photograph, tiling);
  if (places.length <= MOST_TILES) return places;
  throw new Refused(
    `would be cut into ${counted(places.length)} tiles; this page takes up to ${counted(MOST_TILES)}. Take larger tiles, or adlib fit.`,
  );
}

// {score, map, rows, columns}: the score of the worst tile, and the maps of all blended so that no seam shows.
// cached: features of all tiles, where they are there.
async function examineTiled(detector, photograph, tiling, say, cached) {
  const { side } = tiling,
    mapSide = Math.min(detector.size, side),
    scale = mapSide / side;
  const [rows, columns] = [photograph.height, photograph.width].map((length) =>
    Math.max(mapSide, Math.ceil(length * scale)),
  );
  const total = new Float32Array(rows * columns),
    weight = new Float32Array(rows * columns);
  const ramp = Float32Array.from({ length: mapSide }, (_, at) => Math.min(at + 1, mapSide - at));
  const places = tilesOf(photograph, tiling);
  let worst = -Infinity;
  for (const [number, [top, left]] of places.entries()) {
    await say(number / places.length);
    const features = cached?.[number] ?? detector.features(photograph.tile(top, left, side, detector.size)),
      { score, map } = detector.examine(features);
    worst = Math.max(worst, score);
    const first = top + side >= photograph.height ? rows - mapSide : rounded(top * scale), // the last ends at the end
      begin = left + side >= photograph.width ? columns - mapSide : rounded(left * scale),
      own = detector.size / mapSide; // pixels of the tile's map to one of the whole
    for (let row = 0; row < mapSide; row++) {
      for (let column = 0; column < mapSide; column++) {
        const to = (first + row) * columns + begin + column,
          share = ramp[row] * ramp[column];
        total[to] += share * map[Math.floor((row + 0.5) * own) * detector.size + Math.floor((column + 0.5) * own)];
        weight[to] += share;
      }
    }
  }
  const height = Math.max(1, rounded(photograph.height * scale)),
    width = Math.max(1, rounded(photograph.width * scale)); // without mirror images
  const map = new Float32Array(height * width);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to++)
      map[to] = total[row * columns + column] / weight[row * columns + column];
  }
  return { score: worst, map, rows: height, columns: width };
}

// A map at one in `step`: of each block the largest value.
function worstOfBlocks({ map, rows, columns }, step) {
  if (step <= 1) return { map, rows, columns };
  const height = Math.ceil(rows / step),
    width = Math.ceil(columns / step),
    result = new Float32Array(height * width);
  for (let row = 0, from = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, from++) {
      const to = Math.floor(row / step) * width + Math.floor(column / step);
      if (map[from] > result[to]) result[to] = map[from];
    }
  }
  return { map: result, rows: height, columns: width };
}

// (side, side) -> (size, size), linear between the places' centres.
function enlarged(values, side, size) {
  const at = Array.from({ length: size }, (_, number) => {
    const place = Math.max(0, ((number + 0.5) * side) / size - 0.5),
      first = Math.floor(place);
    return { first, second: Math.min(side - 1, first + 1), share: place - first };
  });
  const result = new Float32Array(size * size);
  for (let row = 0, to = 0; row < size; row++) {
    const { first: top, second: bottom, share: down } = at[row];
    for (let column = 0; column < size; column++) {
      const { first: left, second: right, share: across } = at[column];
      const upper = values[top * side + left] * (1 - across) + values[top * side + right] * across;
      const under = values[bottom * side + left] * (1 - across) + values[bottom * side + right] * across;
      result[to++] = upper * (1 - down) + under * down;
    }
  }
  return result;
}

// A Gaussian that is cut at three standard deviations, mirrored at the border: adlib.scores.gaussian_blur.
function blurred(map, size, sigma) {
  const window = Math.min(2 * Math.ceil(3 * sigma) + 1, size - 1 + (size % 2)),
    half = Math.floor(window / 2);
  const raw = Array.from({ length: window }, (_, i) => Math.exp(-((i - half) ** 2) / (2 * sigma ** 2)));
  const total = raw.reduce((sum, each) => sum + each, 0),
    shares = raw.map((each) => each / total);
  const mirrored = (at) => (at < 0 ? -1 - at : at >= size ? 2 * size - 1 - at : at);
  // Along the columns, and turned: twice is along both, and upright again. Neighbours in memory are taken together.
  const pass = (values) => {
    const result = new Float32Array(size * size),
      sums = new Float64Array(size);
    for (let row = 0; row < size; row++) {
      sums.fill(0);
      for (let i = 0; i < window; i++) {
        const from = mirrored(row + i - half) * size,
          share = shares[i];
        for (let column = 0; column < size; column++) sums[column] += values[from + column] * share;
      }
      for (let column = 0; column < size; column++) result[column * size + row] = sums[column];
    }
    return result;
  };
  return pass(pass(map));
}

// numpy.quantile of a map, or `least` where that is larger: most maps are then not put in order.
function quantile(map, share, least) {
  const place = share * (map.length - 1),
    first = Math.floor(place),
    next = Math.min(first + 1, map.length - 1);
  let above = 0;
  for (let at = 0; at < map.length; at++) if (map[at] > least) above++;
  if (above < map.length - next) return least; // not even the value at `next` is above it
  const ordered = Float32Array.from(map).sort();
  return Math.max(least, ordered[first] + (ordered[next] - ordered[first]) * (place - first));
}
