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

// Kernels of 8 bits come with a scale for each output channel, and the graph multiplies them. Done here once, and not
// again for each frame: TF.js itself folds no constants.
async function withScaledKernels(tf, url) {
  const artifacts = await tf.io.browserHTTPRequest(url).load();
  const { node: nodes } = artifacts.modelTopology;
  const weights = tf.io.decodeWeights(artifacts.weightData, artifacts.weightSpecs);
  for (const node of nodes) {
    const factors = node.op === "Mul" ? node.input.map((name) => weights[name]) : [];
    if (factors.length !== 2 || factors.includes(undefined)) continue;
    weights[node.name] = tf.mul(...factors);
    Object.assign(node, { op: "Const", input: [], attr: { dtype: { type: "DT_FLOAT" } } });
  }
  const needed = new Set(nodes.flatMap((node) => (node.op === "Const" ? [] : node.input)));
  const { data, specs } = await tf.io.encodeWeights(Object.fromEntries(Object.entries(weights).filter(([name]) => needed.has(name))));
  tf.dispose(weights);
  const topology = { ...artifacts.modelTopology, node: nodes.filter((node) => node.op !== "Const" || needed.has(node.name)) };
  return tf.io.fromMemory({ ...artifacts, modelTopology: topology, weightSpecs: specs, weightData: data });
}

export async function open({ url, accelerator, size }) {
  load("tf-core.es2017.min.js", "tf-converter.es2017.min.js", "tf-backend-wasm.es2017.min.js");
  const { tf } = self;
  tf.enableProdMode();
  tf.wasm.setWasmPaths(lib);
  if (accelerator === "webgpu") load("tf-backend-webgpu.es2017.min.js");
  if (!(await tf.setBackend(accelerator))) throw new Error(`${accelerator} is not to be had`);
  await tf.ready();
  const model = await tf.loadGraphModel(await withScaledKernels(tf, url));

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
