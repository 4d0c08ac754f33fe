// TensorFlow.js: runs a graph model, on the processor by WebAssembly or on a graphics card by WebGPU.
// Loaded by worker.js; the libraries set the global `tf`.

const lib = new URL("./lib/tfjs/", import.meta.url).href;
const loaded = new Set();

function load(...names) {
  for (const name of names) {
    if (!loaded.has(name)) importScripts(lib + name);
    loaded.add(name);
  }
}

export async function open({ url, accelerator, size }) {
  load("tf-core.es2017.min.js", "tf-converter.es2017.min.js", "tf-backend-wasm.es2017.min.js");
  const { tf } = self;
  tf.enableProdMode();
  tf.wasm.setWasmPaths(lib);
  if (accelerator === "webgpu") load("tf-backend-webgpu.es2017.min.js");
  if (!(await tf.setBackend(accelerator))) throw new Error(`${accelerator} is not to be had`);
  await tf.ready();
  const model = await tf.loadGraphModel(url);

  async function classify(pixels) {
    if (tf.getBackend() !== accelerator) await tf.setBackend(accelerator);
    const output = tf.tidy(() => model.execute(tf.tensor(Float32Array.from(pixels), [1, size, size, 3], "float32")));
    try {
      return Float32Array.from(await output.data());
    } finally {
      output.dispose();
    }
  }

  return { classify, close: () => model.dispose() };
}
