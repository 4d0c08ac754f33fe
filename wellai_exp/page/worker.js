// Brings frames to the model's square and runs the model, away from the page's own thread.
//
// A classic worker rather than a module: LiteRT.js and TF.js are loaded with importScripts, which a module worker
// refuses; our own modules come by import().
"use strict";

const ENGINES = { litert_js: "./litert.js", tfjs: "./tfjs.js" };
// WebGPU may compute in 16 bits, which moves a probability by about 1e-3; a wrong kernel moves it by far more.
const GPU_TOLERANCE = 0.02;

let network = null;
let settings = null;
let canvas = null;

async function open(wanted) {
  close();
  const engine = await import(ENGINES[wanted.engine]);
  const opened = await engine.open(wanted);
  try {
    // The first run compiles; it is not to be a frame's latency.
    const answer = await opened.classify(drawn(wanted.size));
    if (wanted.accelerator === "webgpu") await compare(engine, wanted, answer);
  } catch (error) {
    opened.close();
    throw error;
  }
  network = opened;
  settings = wanted;
  return {};
}

// Nobody has tested this visitor's graphics driver: it must answer as the processor does.
async function compare(engine, wanted, answer) {
  const processor = await engine.open({ ...wanted, accelerator: "wasm" });
  try {
    const expected = await processor.classify(drawn(wanted.size));
    const difference = Math.max(...expected.map((value, index) => Math.abs(value - answer[index])));
    // Written so that NaN is refused as well.
    if (!(difference <= GPU_TOLERANCE)) throw new Error(`±${difference.toFixed(3)}`);
  } finally {
    processor.close();
  }
}

function drawn(size) {
  return Uint8ClampedArray.from({ length: size * size * 3 }, (_, index) => (index * 7 + Math.floor(index / size) * 13) % 256);
}

function close() {
  network?.close();
  network = null;
}

async function frame({ picture, resize = settings.resize }) {
  const { laid, placed, resized } = await import("./fit.js");
  const started = performance.now();
  let square;
  try {
    const width = picture.displayWidth ?? picture.width;
    const height = picture.displayHeight ?? picture.height;
    const place = placed(width, height, settings.size, resize);
    if (canvas?.canvas.width !== place.width || canvas?.canvas.height !== place.height) {
      // Its pixels are read at once, so it stays in the processor's memory.
      canvas = new OffscreenCanvas(place.width, place.height).getContext("2d", { willReadFrequently: true });
    }
    // Transparent pictures lie on white, as in training.
    canvas.fillStyle = "#fff";
    canvas.fillRect(0, 0, place.width, place.height);
    canvas.drawImage(picture, -place.left, -place.top, width, height);
    const { data } = canvas.getImageData(0, 0, place.width, place.height);
    square = laid(resized(data, place.width, place.height, place.toWidth, place.toHeight), place, settings.size);
  } finally {
    picture.close();
  }
  const prepared = performance.now();
  const probabilities = await network.classify(square);
  return { probabilities, prepareMs: prepared - started, modelMs: performance.now() - prepared };
}

// Squares of RGB side by side, one after the other, e.g. of a test set; each is timed.
async function batch({ pixels }) {
  const each = settings.size * settings.size * 3;
  const answers = [];
  const times = new Float32Array(pixels.length / each);
  for (let index = 0; index < times.length; index++) {
    const started = performance.now();
    answers.push(await network.classify(pixels.subarray(index * each, (index + 1) * each)));
    times[index] = performance.now() - started;
  }
  const probabilities = new Float32Array(answers.reduce((sum, answer) => sum + answer.length, 0));
  answers.forEach((answer, index) => probabilities.set(answer, index * answer.length));
  return { probabilities, times };
}

const TASKS = { open, frame, batch };
let before = Promise.resolve();

self.onmessage = ({ data }) => {
  // One after the other: an engine is not closed while it computes.
  before = before.then(async () => {
    try {
      if (data.kind !== "open" && network === null) throw new Error("no model is open");
      self.postMessage({ id: data.id, ...(await TASKS[data.kind](data)) });
    } catch (error) {
      self.postMessage({ id: data.id, problem: String(error?.message ?? error) });
    }
  });
};
