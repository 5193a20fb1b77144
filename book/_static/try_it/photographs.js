// Reading photographs as adlib/data/images.py does: the browser decodes, and Pillow's own arithmetic resizes.
import { sha256 } from "../vendor/noble/sha2.js";

const MOST_PIXELS = 120e6; // of a photograph; decoded it takes four bytes each
const BAND = 2 ** 21; // pixels that are looked at together
const PRECISION = 22; // bits of Pillow's weights

// A file that cannot be used; the message names the remedy.
export class Refused extends Error {}

const OTHER_FORMATS = [
  [/^II\*\0|^MM\0\*/, "is a TIFF or a camera's raw file"],
  [
    /^....ftyp(hei|hev|mif1|msf1)/s,
    "is HEIC, as iPhones store (Settings, Camera, Formats, Most Compatible gives JPEG)",
  ],
  [/^GIF8/, "is a GIF, which may hold several pictures"],
  [/^8BPS/, "is a Photoshop file"],
  [/^....jP  |^\xff\x4f\xff\x51/s, "is JPEG 2000"],
  [/^%PDF/, "is a PDF"],
  [/^\s*(<\?xml|<svg|<!DOCTYPE svg)/, "is a drawing (SVG)"],
  [/^.{128}DICM/s, "is DICOM"],
  [/^PK\x03\x04/, "is a ZIP archive: unpack it"],
];

// {mode: "L" or "RGB"} of a file's first bytes, or Refused.
export function recognise(bytes) {
  const text = String.fromCharCode(...bytes.subarray(0, 140));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (text.startsWith("\x89PNG\r\n\x1a\n")) {
    if (bytes[24] === 16)
      throw new Refused(
        "holds 16 bits a value, and a browser gives the upper 8: save it with 8 bits, or take adlib fit, which reads all of them.",
      );
    if (contains(bytes, "acTL")) throw new Refused("holds several pictures: save each as a file of its own.");
    return { mode: bytes[25] === 0 || bytes[25] === 4 ? "L" : "RGB" };
  }
  if (text.startsWith("\xff\xd8\xff")) {
    const channels = jpegChannels(view);
    if (channels === 4) throw new Refused("is a JPEG in CMYK, for printing: save it in RGB.");
    return { mode: channels === 1 ? "L" : "RGB" };
  }
  if (/^RIFF....WEBP/s.test(text)) {
    if (text.slice(12, 16) === "VP8X" && bytes[20] & 2)
      throw new Refused("holds several pictures: save each as a file of its own.");
    return { mode: "RGB", kind: "webp" };
  }
  if (text.startsWith("BM") || /^....ftyp(avif|avis)/s.test(text)) return { mode: "RGB" };
  const other = OTHER_FORMATS.find(([start]) => start.test(text));
  if (other) throw new Refused(`${other[1]}; browsers do not read it. Save it as PNG or JPEG, or take adlib fit.`);
  throw new Refused("is not an image that a browser reads. Save it as PNG or JPEG.");
}

function contains(bytes, name) {
  const codes = [...name].map((each) => each.charCodeAt(0));
  return bytes.some((_, at) => codes.every((code, i) => bytes[at + i] === code));
}

// Colours of a JPEG, from the header of its frame.
function jpegChannels(view) {
  for (let at = 2; at + 9 < view.byteLength; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint8(at + 1);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return view.getUint8(at + 9);
  }
  return 3;
}

// Whether the EXIF data among the last bytes of a WebP file have an orientation other than upright.
function turned(buffer) {
  const view = new DataView(buffer),
    text = new TextDecoder("latin1").decode(buffer),
    at = text.lastIndexOf("EXIF");
  if (at < 0) return false;
  const start = at + 8 + (text.startsWith("Exif", at + 8) ? 6 : 0),
    little = text[start] === "I";
  try {
    const entries = start + view.getUint32(start + 4, little),
      count = view.getUint16(entries, little);
    for (let tag = entries + 2; tag < entries + 2 + 12 * count; tag += 12) {
      if (view.getUint16(tag, little) === 0x0112) return view.getUint16(tag + 8, little) > 1;
    }
  } catch {
    return false; // beyond the end: no tags
  }
  return false;
}

// A decoded photograph; `close` gives its memory back.
export class Photograph {
  static async open(file) {
    const { mode, kind } = recognise(new Uint8Array(await file.slice(0, 2 ** 18).arrayBuffer()));
    if (kind === "webp" && turned(await file.slice(-(2 ** 16)).arrayBuffer())) {
      throw new Refused("is a WebP file that a tag says to turn, which browsers do not heed: save it upright.");
    }
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    } catch {
      throw new Refused(
        "cannot be decoded: it is damaged, too large, or of a kind that this browser does not read. Save it anew as PNG or JPEG.",
      );
    }
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS) {
      bitmap.close();
      throw new Refused(
        `has ${Math.round((width * height) / 1e6)} megapixels; this page takes up to ${MOST_PIXELS / 1e6}. Make it smaller, or take adlib fit.`,
      );
    }
    return new Photograph(bitmap, mode);
  }

  constructor(bitmap, mode) {
    Object.assign(this, { bitmap, mode, width: bitmap.width, height: bitmap.height });
  }

  close() {
    this.bitmap.close();
  }

  // RGBA of a part; what is transparent is black.
  pixels(left, top, width, height) {
    if (this.canvas?.width !== width || this.canvas.height !== height) {
      this.canvas = new OffscreenCanvas(width, height);
      this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    }
    this.context.fillRect(0, 0, width, height);
    this.context.drawImage(this.bitmap, left, top, width, height, 0, 0, width, height);
    return this.context.getImageData(0, 0, width, height).data;
  }

  // {pixels, coloured, blank}: the photograph squeezed to size x size, Uint8 RGB, whether the whole has a colour, and whether
  // all pixels are the same; with `study` also {brightness, appearance, digest}.
  squeezed(size, study = false) {
    const { width, height, mode } = this;
    const columns = width === size ? null : weights(width, size);
    const narrow = new Uint8Array(size * height * 3);
    const digests = study ? Array.from({ length: mode === "L" ? 1 : 3 }, () => sha256.create()) : []; // of each colour
    const rows = Math.max(1, Math.floor(BAND / width));
    let coloured = false,
      blank = true,
      first = null,
      sum = 0;
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top),
        pixels = this.pixels(0, top, width, count);
      first ??= pixels.slice(0, 3);
      for (let from = 0; from < pixels.length; from += 4) {
        const red = pixels[from],
          green = pixels[from + 1],
          blue = pixels[from + 2];
        if (red !== green || red !== blue) coloured = true;
        if (red !== first[0] || green !== first[1] || blue !== first[2]) blank = false;
        if (study) sum += red + green + blue;
      }
      for (const [colour, digest] of digests.entries()) {
        const plane = new Uint8Array(width * count);
        for (let to = 0, from = colour; to < plane.length; to++, from += 4) plane[to] = pixels[from];
        digest.update(plane);
      }
      narrower(pixels, width, count, columns, size, narrow.subarray(top * size * 3));
    }
    const small = height === size ? narrow : lower(narrow, height, size);
    if (!study) return { pixels: small, coloured, blank };
    const brightness = sum / (3 * width * height);
    return {
      pixels: small,
      coloured,
      blank,
      brightness,
      appearance: appearance(small, size),
      digest: digestOf(width, height, digests),
    };
  }

  // A tile squeezed to size x size, Uint8 RGB; what lies beyond a photograph smaller than a tile is its mirror image.
  tile(top, left, side, size) {
    const width = Math.min(side, this.width - left),
      height = Math.min(side, this.height - top);
    let pixels = this.pixels(left, top, width, height);
    if (width < side || height < side) {
      const mirrored = (at, length) => (at % (2 * length) < length ? at % length : length - 1 - (at % length));
      const whole = new Uint32Array(side * side),
        part = new Uint32Array(pixels.buffer);
      for (let row = 0, to = 0; row < side; row++) {
        for (let column = 0; column < side; column++)
          whole[to++] = part[mirrored(row, height) * width + mirrored(column, width)];
      }
      pixels = new Uint8Array(whole.buffer);
    }
    const narrow = new Uint8Array(size * side * 3);
    narrower(pixels, side, side, side === size ? null : weights(side, size), size, narrow);
    return side === size ? narrow : lower(narrow, side, size);
  }

  // A JPEG to be shown, at most `side` pixels long.
  async thumbnail(side) {
    const factor = Math.min(1, side / Math.max(this.width, this.height));
    const [width, height] = [this.width, this.height].map((length) => Math.max(1, Math.round(length * factor)));
    const canvas = new OffscreenCanvas(width, height),
      context = canvas.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, width, height);
    return canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
  }
}

export const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// As `pixel_digest` of adlib/data/images.py: of the size and of each colour's own; grey counts three times.
function digestOf(width, height, digests) {
  const whole = sha256.create().update(new TextEncoder().encode(`(${width}, ${height})`)),
    planes = digests.map((each) => each.digest());
  for (let colour = 0; colour < 3; colour++) whole.update(planes[colour] ?? planes[0]);
  return hexadecimal(whole.digest()).slice(0, 16);
}

// Brightness, contrast and sharpness of RGB (size, size), as adlib/inspection/drift.py has them; that looks at grey before it
// squeezes, which differs by less than a grey value.
function appearance(pixels, size) {
  const grey = new Float32Array(size * size);
  let sum = 0,
    squares = 0,
    steps = 0;
  for (let at = 0; at < grey.length; at++) {
    grey[at] = (19595 * pixels[3 * at] + 38470 * pixels[3 * at + 1] + 7471 * pixels[3 * at + 2]) / 65536;
    sum += grey[at];
    if (at % size) steps += Math.abs(grey[at] - grey[at - 1]);
    if (at >= size) steps += Math.abs(grey[at] - grey[at - size]);
  }
  const mean = sum / grey.length;
  for (let at = 0; at < grey.length; at++) squares += (grey[at] - mean) ** 2;
  const spread = Math.sqrt(squares / grey.length);
  return [mean, spread, steps / (2 * size * (size - 1))].map((value, number) =>
    Number(value.toFixed(number === 2 ? 3 : 2)),
  );
}

// Which pixels count how much in each pixel of the result: averaged over the area where the axis shrinks, linear where
// it grows. In Pillow's whole numbers, so that the bytes are the same.
function weights(length, size) {
  const scale = length / size,
    shrinks = size < length,
    stretch = Math.max(scale, 1);
  const filter = shrinks ? (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) : (x) => Math.max(0, 1 - Math.abs(x));
  const reach = (shrinks ? 0.5 : 1) * stretch;
  return Array.from({ length: size }, (_, number) => {
    const centre = (number + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5)),
      end = Math.min(length, Math.trunc(centre + reach + 0.5));
    const shares = Array.from({ length: end - first }, (_, i) => filter((i + first - centre + 0.5) / stretch));
    const total = shares.reduce((sum, each) => sum + each, 0);
    return { first, shares: Int32Array.from(shares, (each) => Math.trunc(0.5 + (each / total) * 2 ** PRECISION)) };
  });
}

// RGBA (height, width) -> RGB (height, size), into `result`.
function narrower(pixels, width, height, columns, size, result) {
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < size; column++, to += 3) {
      let at = (row * width + (columns ? columns[column].first : column)) * 4;
      if (!columns) {
        result[to] = pixels[at];
        result[to + 1] = pixels[at + 1];
        result[to + 2] = pixels[at + 2];
        continue;
      }
      const { shares } = columns[column];
      let red = 1 << (PRECISION - 1),
        green = red,
        blue = red;
      for (let i = 0; i < shares.length; i++, at += 4) {
        red += pixels[at] * shares[i];
        green += pixels[at + 1] * shares[i];
        blue += pixels[at + 2] * shares[i];
      }
      result[to] = Math.min(255, red >> PRECISION);
      result[to + 1] = Math.min(255, green >> PRECISION);
      result[to + 2] = Math.min(255, blue >> PRECISION);
    }
  }
}

// RGB (height, size) -> RGB (size, size).
function lower(pixels, height, size) {
  const rows = weights(height, size),
    across = size * 3,
    result = new Uint8Array(size * across);
  const sums = new Int32Array(across);
  for (let row = 0; row < size; row++) {
    const { first, shares } = rows[row];
    sums.fill(1 << (PRECISION - 1));
    for (let i = 0; i < shares.length; i++) {
      const from = (first + i) * across,
        share = shares[i];
      for (let at = 0; at < across; at++) sums[at] += pixels[from + at] * share;
    }
    for (let at = 0; at < across; at++) result[row * across + at] = Math.min(255, sums[at] >> PRECISION);
  }
  return result;
}
