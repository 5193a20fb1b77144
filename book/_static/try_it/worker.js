// Everything that takes long, away from the page: reading, learning, judging. Messages in and out are plain objects.
import "../vendor/tfjs/tf-core.min.js";
import "../vendor/tfjs/tf-backend-wasm.min.js";
import { sha256 } from "../vendor/noble/sha2.js";
import { fromFile, judge, learn, toFile } from "./detector.js";
import { readTensors } from "./model_file.js";
import { Network } from "./network.js";
import { Refused, hexadecimal } from "./photographs.js";
/* global tf */

const below = (path) => new URL(`../${path}`, import.meta.url).href;
let network,
  learnt,
  cancelled = false;

class Cancelled extends Error {}

// Lets messages in, so that "cancel" is heard, and says how far the work is.
let spoken = 0;
async function say(words, done) {
  if (performance.now() - spoken > 50) {
    spoken = performance.now();
    postMessage({ kind: "progress", words, done });
    await new Promise((resolve) => setTimeout(resolve));
  }
  if (cancelled) throw new Cancelled();
}

async function fetched(path, words) {
  const response = await fetch(below(path));
  if (!response.ok) throw new Refused(`${path} is missing on this server (${response.status}).`);
  const total = Number(response.headers.get("Content-Length")) || 3e6,
    parts = [];
  let length = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    await say(words, Math.min(1, length / total));
  }
  return new Blob(parts).arrayBuffer();
}

async function start() {
  if (network) return;
  const settings = JSON.parse(new TextDecoder().decode(await fetched("made/try_it/settings.json", "loading")));
  tf.wasm.setWasmPaths(below("vendor/tfjs/"));
  await tf.setBackend("wasm");
  const { tensors } = readTensors(await fetched("made/try_it/network.safetensors", "loading the network"));
  network = new Network(tensors, settings);
}

const summary = ({ tiling, scores, threshold, falseAlarms, images, notes, errors, detector }) => ({
  tiling,
  scores,
  threshold,
  falseAlarms,
  images,
  notes,
  errors,
  size: detector.size,
  confidence: network.settings.confidence,
  columns: network.settings.columns,
});

const work = {
  async learn({ files, tiling, falseAlarms }) {
    await start();
    const fresh = await learn(network, files, tiling, falseAlarms, say);
    learnt?.detector.memory.dispose();
    learnt = fresh;
    postMessage({ kind: "learnt", ...summary(learnt), saves: true });
  },
  async load({ file }) {
    await start();
    try {
      const fresh = fromFile(network, readTensors(await file.arrayBuffer()));
      learnt?.detector.memory.dispose();
      learnt = fresh;
    } catch (error) {
      throw error instanceof Refused ? new Refused(`'${file.name}' ${error.message}`) : error;
    }
    postMessage({ kind: "learnt", ...summary(learnt), saves: false });
  },
  async judge({ files, first }) {
    for (const [number, file] of files.entries()) {
      await say(`judging ${number + 1} of ${files.length}`, number / files.length);
      try {
        const verdict = await judge(learnt, file, (share) =>
          say(`judging ${number + 1} of ${files.length}`, (number + share) / files.length),
        );
        postMessage({ kind: "verdict", number: first + number, ...verdict }, [verdict.map.buffer]);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        postMessage({ kind: "verdict", number: first + number, error: error.message });
      }
    }
    postMessage({ kind: "judged" });
  },
  async save({ threshold }) {
    const hex = (text) => hexadecimal(sha256(new TextEncoder().encode(text)));
    postMessage({ kind: "saved", blob: toFile(learnt, threshold, network.settings, hex) });
  },
};

onmessage = async ({ data }) => {
  if (data.kind === "cancel") {
    cancelled = true;
    return;
  }
  cancelled = false;
  spoken = 0;
  try {
    await work[data.kind](data);
  } catch (error) {
    if (error instanceof Cancelled) postMessage({ kind: "cancelled" });
    else
      postMessage({
        kind: "failed",
        words: error instanceof Refused ? error.message : `Something went wrong: ${error.message ?? error}`,
      });
  }
};
postMessage({ kind: "ready" });
