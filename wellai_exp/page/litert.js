// LiteRT.js: runs a .tflite file, on the processor by WebAssembly or on a graphics card by WebGPU.
// Loaded by worker.js. Whatever is made in WebAssembly's memory is given back by delete().

let loading = null;

export async function open({ url, accelerator }) {
  const litert = await import("./lib/litert/index.js");
  if (loading === null) {
    const folder = new URL("./lib/litert/wasm/", import.meta.url).href;
    // Without it the WebAssembly is looked for beside the worker.
    const locateFile = (name) => folder + name;
    // LiteRT writes all that it does to its error channel.
    const printErr = (line) => (/^(INFO|WARNING|VERBOSE)\b/.test(line) ? console.debug(line) : console.error(line));
    self.Module = { locateFile, printErr };
    loading = litert.loadLiteRt(folder);
  }
  await loading;
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const model = await litert.loadAndCompile(new Uint8Array(await answer.arrayBuffer()), { accelerator });
  if (accelerator === "webgpu" && !model.isFullyAccelerated) {
    model.delete();
    throw new Error("WebGPU lacks an operation of this model");
  }
  const [input] = model.getInputDetails();
  const shape = Array.from(input.shape);

  async function classify(pixels) {
    const values = input.dtype === "uint8" ? new Uint8Array(Uint8ClampedArray.from(pixels).buffer) : Float32Array.from(pixels);
    const tensors = [];
    try {
      const given = new litert.Tensor(values, shape);
      tensors.push(given);
      const [output] = await model.run([given]);
      tensors.push(output);
      return Float32Array.from(await output.data());
    } finally {
      for (const tensor of tensors) if (!tensor.deleted) tensor.delete();
    }
  }

  return { classify, close: () => model.delete() };
}
