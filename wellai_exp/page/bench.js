// Runs batches of squares through the page's own engine, for wellai_exp.export's browser runtimes.
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
