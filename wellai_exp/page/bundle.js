// What bundle.json says, in the page's own terms.

// Which runtime of a browser reads which format; names as in conf/runtime.
const ENGINE_OF = { tflite: "litert_js", tfjs: "tfjs" };
export const ENGINE_NAMES = { litert_js: "LiteRT.js", tfjs: "TensorFlow.js" };

// Best first: as good as the float32 network and half its size, then speed, then what is left.
const PREFERRED = ["tflite_float16", "tflite_float32", "tflite_int8", "tflite_dynamic", "tfjs_float16", "tfjs_float32"];

/** A class without a threshold of its own counts as seen where it is likelier than all others together. */
export const USUAL_THRESHOLD = 0.5;

/** A class's name as one reads it: data sets write spaces as underscores. */
export function readable(name) {
  return name.replace(/[_\s]+/g, " ").trim() || name;
}

function rank(artifact) {
  const place = PREFERRED.indexOf(artifact.name);
  return place < 0 ? PREFERRED.length : place;
}

function servable(artifact) {
  const engine = ENGINE_OF[artifact.format];
  const path = artifact.path.split("/").map(encodeURIComponent).join("/");
  const file = artifact.format === "tfjs" ? `${path}/model.json` : path;
  const { name, size, size_mb: megabytes } = artifact;
  // Quantised networks run on no graphics card through LiteRT.js.
  const gpu = !/int8|dynamic/.test(name);
  return { name, engine, size, megabytes, gpu, url: new URL(file, document.baseURI).href };
}

/** Read bundle.json beside the page. */
export async function readBundle() {
  const answer = await fetch("bundle.json");
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const known = await answer.json();
  const artifacts = known.artifacts
    .filter((artifact) => artifact.fit === true && artifact.format in ENGINE_OF)
    .sort((one, other) => rank(one) - rank(other))
    .map(servable);
  return {
    title: known.version === null ? known.model : `${known.model}/${known.version}`,
    names: known.class_names.map(readable),
    parents: known.class_names.map((_, index) => Object.values(known.parents).map((level) => readable(level[index]))),
    thresholds: known.thresholds.map((threshold) => threshold ?? USUAL_THRESHOLD),
    size: known.preprocessing.size,
    resize: known.preprocessing.resize,
    created: known.created,
    sha: known.model_sha256,
    artifacts,
  };
}
