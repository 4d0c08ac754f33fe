// The page's side of worker.js: each call is a promise.

export class Engine {
  #worker = null;
  #waiting = new Map();
  #count = 0;

  /** Open a model; what was open before is closed. */
  async open(wanted) {
    // A new worker for each model: an engine that failed half-way leaves its memory behind otherwise.
    this.close();
    this.#worker = new Worker(new URL("./worker.js", import.meta.url));
    this.#worker.onmessage = ({ data }) => this.#settle(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      for (const id of [...this.#waiting.keys()]) this.#settle({ id, problem: event.message || "worker" });
    };
    await this.#ask("open", wanted);
  }

  /** Classify an ImageBitmap or VideoFrame, which is closed afterwards; brought to the square as the model says. */
  frame(picture, resize = undefined) {
    return this.#ask("frame", { picture, resize }, [picture]);
  }

  /** Classify squares of RGB, one after the other. */
  batch(pixels) {
    return this.#ask("batch", { pixels }, [pixels.buffer]);
  }

  close() {
    this.#worker?.terminate();
    this.#worker = null;
    for (const id of [...this.#waiting.keys()]) this.#settle({ id, problem: "closed" });
  }

  #ask(kind, what, transfer = []) {
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, kind, ...what }, transfer);
    });
  }

  #settle({ id, problem, ...answer }) {
    const promise = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem === undefined) promise?.resolve(answer);
    else promise?.reject(new Error(problem));
  }
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render/i;

/** Whether WebGPU is there and runs on a real graphics card rather than on the processor in disguise. */
export async function realGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return false;
    const info = adapter.info ?? {};
    if (adapter.isFallbackAdapter || info.isFallbackAdapter) return false;
    return !SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);
  } catch {
    return false;
  }
}
