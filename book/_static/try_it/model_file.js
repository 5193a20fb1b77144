// Detectors as safetensors files, as adlib/files.py and adlib/inspection/inspector.py write and read them.
import { sha256 } from "../vendor/noble/sha2.js";
import { Refused, hexadecimal } from "./photographs.js";

const DIGEST = "sha256";
const TYPES = {
  F32: [Float32Array, "torch.float32"],
  F64: [Float64Array, "torch.float64"],
  I64: [BigInt64Array, "torch.int64"],
};

// {tensors: name -> {shape, values}, metadata}; digest checked.
export function readTensors(buffer) {
  let header, start;
  try {
    start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  } catch {
    throw new Refused("is no safetensors file, or was cut off: take one that `adlib fit` wrote.");
  }
  const { __metadata__: metadata = {}, ...entries } = header,
    tensors = {};
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(entries)) {
    if (!TYPES[dtype] || start + to > buffer.byteLength)
      throw new Refused("is of another kind, or was cut off: take one that `adlib fit` wrote.");
    tensors[name] = { dtype, shape, values: new TYPES[dtype][0](buffer.slice(start + from, start + to)) };
  }
  const { [DIGEST]: digest, ...rest } = metadata;
  if (digest !== undefined && digest !== digestOf(tensors, rest)) {
    throw new Refused(
      "was changed after it was written: its content does not fit its SHA-256. Take a copy that is whole.",
    );
  }
  return { tensors, metadata: rest };
}

// A safetensors file as a Blob. tensors: name -> {shape, values: Float32Array}; metadata: name -> text.
export function writeTensors(tensors, metadata) {
  const header = { __metadata__: { ...metadata, [DIGEST]: digestOf(tensors, metadata) } };
  let offset = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, (offset += values.byteLength)] };
  }
  let bytes = new TextEncoder().encode(JSON.stringify(header));
  bytes = new TextEncoder().encode(JSON.stringify(header) + " ".repeat((8 - (bytes.length % 8)) % 8));
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(bytes.length), true);
  return new Blob([length.buffer, bytes, ...Object.values(tensors).map((each) => each.values)]);
}

// 64 hex digits of names, types, shapes and values, and of the metadata.
function digestOf(tensors, metadata) {
  const digest = sha256.create(),
    text = new TextEncoder();
  digest.update(text.encode(pythonJson(sorted(metadata))));
  for (const [name, { dtype = "F32", shape, values }] of sorted(tensors)) {
    digest.update(text.encode(pythonJson([name, TYPES[dtype][1], shape])));
    digest.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hexadecimal(digest.digest());
}

const sorted = (named) => Object.entries(named).sort(([some], [other]) => (some < other ? -1 : 1));

// What json.dumps writes: ", " and ": " between items, all beyond ASCII escaped.
export function pythonJson(value) {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value)
      .map(([key, each]) => `${pythonJson(key)}: ${pythonJson(each)}`)
      .join(", ")}}`;
  }
  const escaped = (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, escaped);
}
