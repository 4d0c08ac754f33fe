// Runs batches of squares, or a camera's frames, through the page's own engine, for wellai_exp.export's runtimes.
// Pixels and answers travel as bytes; a Python program calls these functions, which give null or what is wrong.

import { Engine } from "./engine.js";

const engine = new Engine();

// A worker that hangs leaves this thread alive to say so.
async function answered(within, task) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${within} s`)), 1000 * within);
  });
  try {
    await Promise.race([task(), late]);
    return null;
  } catch (error) {
    return error.message;
  } finally {
    clearTimeout(timer);
  }
}

/** Open a model. */
window.openModel = ({ within, url, ...wanted }) =>
  answered(within, () => engine.open({ ...wanted, url: new URL(url, document.baseURI).href, resize: "stretch" }));

/** Fetch squares of that name, and post the milliseconds of each, then the probabilities of all, to the same name. */
window.classifyBatch = ({ within, name, whole }) =>
  answered(within, async () => {
    const fetched = await fetch(name, { cache: "no-store" });
    const bytes = await fetched.arrayBuffer();
    const { probabilities, times } = await engine.batch(whole ? new Uint8Array(bytes) : new Float32Array(bytes));
    const answer = new Float32Array(times.length + probabilities.length);
    answer.set(times);
    answer.set(probabilities, times.length);
    const posted = await fetch(name, { method: "POST", body: answer });
    if (!posted.ok) throw new Error(`HTTP ${posted.status}`);
  });

const later = (when) => new Promise((resolve) => setTimeout(resolve, Math.max(0, when - performance.now())));

// A camera that does not wait, as wellai_exp.benchmark's: it has a frame every 1 / fps seconds whatever happens; the
// newest decoded one waits for the engine, and pushes out what came before.
class Camera {
  #picture = null;
  #wake = null;
  #ended = false;

  async run(files, fps, total) {
    const began = performance.now();
    let slot = -1;
    for (let index = 0; ; index++) {
      slot = Math.min(total, Math.max(slot + 1, Math.floor(((performance.now() - began) * fps) / 1000)));
      const at = began + (1000 * slot) / fps;
      await later(at);
      if (slot === total) break;
      const started = performance.now();
      const bitmap = await createImageBitmap(files[index % files.length], { colorSpaceConversion: "none" });
      this.#put({ slot, at, captured: at - began, decode: performance.now() - started, bitmap });
    }
    // It ends when the next frame would come, which would push this one out.
    this.#picture?.bitmap.close();
    this.#picture = null;
    this.#ended = true;
    this.#wake?.();
  }

  #put(picture) {
    this.#picture?.bitmap.close();
    this.#picture = picture;
    this.#wake?.();
  }

  /** The newest frame, as soon as there is one; null at the end. */
  async take() {
    while (this.#picture === null && !this.#ended) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#picture;
    this.#picture = null;
    return taken;
  }
}

/**
 * Feed pictures of these names to the engine as a camera would, and post a row of numbers for each that was answered:
 * slot, and in milliseconds when it was captured, latency, and what of that were decoding, preparing and the model.
 */
window.runStream = ({ within, name, names, fps, seconds, resize }) =>
  answered(within, async () => {
    const files = await Promise.all(names.map(async (each) => (await fetch(each, { cache: "no-store" })).blob()));
    const camera = new Camera();
    const rows = [];
    const ended = camera.run(files, fps, Math.max(1, Math.round(fps * seconds)));
    for (let taken = await camera.take(); taken !== null; taken = await camera.take()) {
      const { prepareMs, modelMs } = await engine.frame(taken.bitmap, resize);
      rows.push(taken.slot, taken.captured, performance.now() - taken.at, taken.decode, prepareMs, modelMs);
    }
    await ended;
    const posted = await fetch(name, { method: "POST", body: new Float64Array(rows) });
    if (!posted.ok) throw new Error(`HTTP ${posted.status}`);
  });
