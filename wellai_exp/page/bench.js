// Runs batches of squares through the page's own engine, for wellai_exp.export's browser runtimes.
// Pixels and answers travel as bytes; a Python program calls these functions.

import { Engine } from "./engine.js";

const engine = new Engine();

/** Open a model; gives null, or what is wrong. */
window.openModel = async (wanted) => {
  try {
    await engine.open({ ...wanted, url: new URL(wanted.url, document.baseURI).href });
    return null;
  } catch (error) {
    return error.message;
  }
};

/** Fetch squares from `from` and post an answer for each, and its milliseconds, to `to`; gives null, or a problem. */
window.classifyBatch = async (from, to, whole) => {
  try {
    const fetched = await fetch(from, { cache: "no-store" });
    const bytes = await fetched.arrayBuffer();
    const { probabilities, times } = await engine.batch(whole ? new Uint8Array(bytes) : new Float32Array(bytes));
    // Times first: there are as many as squares, so the reader knows where the answers begin.
    const answer = new Float32Array(times.length + probabilities.length);
    answer.set(times);
    answer.set(probabilities, times.length);
    await fetch(to, { method: "POST", body: answer });
    return null;
  } catch (error) {
    return error.message;
  }
};
