// The live page: wires what is chosen, the source of pictures, the engine and the view.

import { ENGINE_NAMES, readBundle } from "./bundle.js";
import { Engine, realGpu } from "./engine.js";
import { HeldLabel, verdict } from "./label.js";
import { Pace } from "./pace.js";
import { SourceProblem, closeVideo, everyFrame, listCameras, openCamera, openPicture, openVideo, showCamera } from "./source.js";
import { View, shownName } from "./view.js";
import { Words, preferred } from "./words.js";

const at = (id) => document.getElementById(id);
const video = at("video");
const still = at("still");
const MAX_SHOWN = 1280;

const view = new View(new Words(preferred()));
const engine = new Engine();
const pace = new Pace();
let bundle = null;
let held = null;
let gpu = false;
/** The model that answers now, or null while one is being opened. */
let running = null;
let openings = 0;
/** What is looked at: null, or {kind: "camera" | "video" | "picture", file, end}. */
let source = null;
/** Rises with every new source, so that what belongs to an older one is thrown away. */
let sources = 0;

// ---- The model ----

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.disabled = options.length === 0;
}

function offerArtifacts() {
  const words = new Words(at("language").value);
  const chosen = at("artifact").value;
  const some = bundle.artifacts.filter((artifact) => artifact.engine === at("engine").value);
  fill(at("artifact"), some.map(({ name, megabytes }) =>
    [name, words.say("megabytes", { name, value: words.tenths.format(megabytes) })]));
  if (some.some(({ name }) => name === chosen)) at("artifact").value = chosen;
}

async function openModel() {
  const opening = ++openings;
  running = null;
  const artifact = bundle.artifacts.find(({ name }) => name === at("artifact").value);
  const name = ENGINE_NAMES[artifact.engine];
  const wish = at("hardware").value;
  const wanted = { engine: artifact.engine, url: artifact.url, size: artifact.size, resize: bundle.resize };
  const onGpu = gpu && (wish === "webgpu" || (wish === "auto" && artifact.gpu));
  at("running").textContent = "";
  delete at("running").dataset.words;
  view.tell("loading_engine", { name });
  let refused = null;
  for (const accelerator of onGpu ? ["webgpu", "wasm"] : ["wasm"]) {
    try {
      await engine.open({ ...wanted, accelerator });
      if (opening !== openings) return;
      running = { artifact, accelerator };
      break;
    } catch (error) {
      if (opening !== openings) return;
      refused = error.message;
    }
  }
  if (running === null) {
    view.tell("engine_failed", { name, problem: refused }, "problem");
    return;
  }
  if (refused !== null) view.tell("gpu_differs", { problem: refused });
  else tellSource();
  at("running").dataset.artifact = artifact.name;
  at("running").dataset.words = `running_${running.accelerator}`;
  at("running").textContent = new Words(at("language").value).say(at("running").dataset.words);
  for (const id of ["camera", "choose"]) at(id).disabled = false;
  held.reset();
  pace.reset();
  if (source?.kind === "picture") await lookAt(source.file);
}

// ---- Looking ----

async function classify(picture, began, mine) {
  const model = running;
  try {
    const { probabilities, modelMs } = await engine.frame(picture);
    if (mine !== sources || model !== running) return null;
    pace.add(began, performance.now(), modelMs);
    return probabilities;
  } catch (error) {
    // A model that was just replaced takes its last frame with it.
    if (model === running && running !== null) {
      running = null;
      view.tell("engine_stopped", { problem: error.message }, "problem");
    }
    return null;
  }
}

async function takeFrame(began, mine) {
  if (running === null || video.videoWidth === 0) return;
  let picture;
  try {
    picture = await createImageBitmap(video);
  } catch {
    return; // between two sources the element has no frame
  }
  const probabilities = await classify(picture, began, mine);
  if (probabilities === null) return;
  const now = performance.now();
  const { named, mean } = held.add(probabilities, began);
  view.answer({ named, probabilities: mean, moving: true, figures: pace.figures(), now });
}

function begin(kind, file = null) {
  end();
  source = { kind, file, end: () => {} };
  held.reset();
  pace.reset();
  at("stop").hidden = false;
  if (document.activeElement === at("camera") && kind === "camera") at("stop").focus();
  at("camera").hidden = kind === "camera";
  at("mirror").closest("label").hidden = kind !== "camera";
  return ++sources;
}

function end() {
  source?.end();
  sources++;
  source = null;
  closeVideo(video);
  video.hidden = still.hidden = true;
  at("invitation").hidden = false;
  at("stage").dataset.state = "empty";
  at("cameras-label").hidden = true;
  at("camera").hidden = false;
  at("mirror").closest("label").hidden = true;
  if (document.activeElement === at("stop")) at("camera").focus();
  at("stop").hidden = true;
  view.wait();
}

function reveal(element) {
  at("invitation").hidden = true;
  element.hidden = false;
  at("stage").dataset.state = source.kind;
}

function tellSource() {
  if (source === null) view.tell("ready");
  else if (source.kind === "camera") view.tell("camera_on");
  else view.tell("shows", { name: shownName(source.file.name) });
}

function trouble(error) {
  if (!(error instanceof SourceProblem)) throw error;
  const { name = "", problem = "", megabytes, megapixels, limit } = error.values;
  const unit = megapixels === undefined ? "file_megabytes" : "megapixels";
  const amount = (value) => (words) => words.say(unit, { value: words.whole.format(value) });
  const values = { name: shownName(name), problem, size: amount(megapixels ?? megabytes), limit: amount(limit) };
  view.tell(error.words, values, "problem");
}

async function startCamera(id = null) {
  const mine = begin("camera");
  view.tell("camera_asked");
  try {
    const stream = await openCamera(id);
    if (mine !== sources) {
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (mine !== sources) return;
      end();
      view.tell("camera_lost", {}, "problem");
    });
    await showCamera(video, stream);
    reveal(video);
    source.end = everyFrame(video, (began) => takeFrame(began, mine));
    tellSource();
    await offerCameras(track.getSettings().deviceId);
  } catch (error) {
    if (mine !== sources) return;
    end();
    trouble(error);
  }
}

async function offerCameras(current) {
  const words = new Words(at("language").value);
  const cameras = await listCameras();
  fill(at("cameras"), cameras.map(({ deviceId, label }, index) =>
    [deviceId, shownName(label || words.say("camera_number", { number: index + 1 }))]));
  at("cameras").value = current;
  at("cameras-label").hidden = cameras.length < 2;
}

function drawStill(bitmap) {
  const scale = Math.min(1, MAX_SHOWN / Math.max(bitmap.width, bitmap.height));
  still.width = Math.max(1, Math.round(bitmap.width * scale));
  still.height = Math.max(1, Math.round(bitmap.height * scale));
  still.getContext("2d").drawImage(bitmap, 0, 0, still.width, still.height);
}

async function lookAt(file) {
  const moving = file.type.startsWith("video/");
  const mine = begin(moving ? "video" : "picture", file);
  view.tell("opening", { name: shownName(file.name) });
  try {
    if (moving) {
      await openVideo(video, file);
      if (mine !== sources) return;
      reveal(video);
      source.end = everyFrame(video, (began) => takeFrame(began, mine));
    } else {
      const bitmap = await openPicture(file);
      if (mine !== sources) {
        bitmap.close();
        return;
      }
      drawStill(bitmap);
      reveal(still);
      const probabilities = running === null ? null : await classify(bitmap, performance.now(), mine);
      if (probabilities !== null) {
        const named = verdict(probabilities, bundle.thresholds);
        const figures = { ...pace.figures(), fps: null };
        view.answer({ named, probabilities, moving: false, figures, now: performance.now() });
      }
    }
    if (mine === sources && running !== null) tellSource();
  } catch (error) {
    if (mine !== sources) return;
    end();
    trouble(error);
  }
}

// ---- What a visitor does ----

function dropOn(stage) {
  // Anywhere on the page: a file that misses the stage must not replace the page.
  let depth = 0;
  const show = (on) => {
    at("dropping").hidden = !on;
    stage.classList.toggle("over", on);
  };
  addEventListener("dragenter", () => show(++depth > 0));
  addEventListener("dragleave", () => show(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    show(false);
    const { files } = event.dataTransfer;
    if (at("choose").disabled) return;
    if (files.length === 0) view.tell("no_file", {}, "problem");
    else await lookAt(files[0]);
    if (files.length > 1 && source !== null) view.tell("one_file");
  });
}

function listen() {
  at("camera").addEventListener("click", () => startCamera());
  at("cameras").addEventListener("change", () => startCamera(at("cameras").value));
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", async () => {
    const [file] = at("file").files;
    if (file) await lookAt(file);
    at("file").value = "";
  });
  at("stop").addEventListener("click", () => {
    end();
    view.tell("stopped");
  });
  at("mirror").addEventListener("change", () => at("stage").classList.toggle("mirrored", at("mirror").checked));
  at("stage").classList.toggle("mirrored", at("mirror").checked);
  at("engine").addEventListener("change", () => {
    offerArtifacts();
    openModel();
  });
  for (const id of ["artifact", "hardware"]) at(id).addEventListener("change", openModel);
  at("language").addEventListener("change", () => {
    view.speak(new Words(at("language").value));
    if (bundle !== null) offerArtifacts();
  });
  dropOn(at("stage"));
}

async function start() {
  at("mirror").closest("label").hidden = true;
  listen();
  try {
    bundle = await readBundle();
  } catch {
    view.tell("bundle_missing", {}, "problem");
    return;
  }
  view.introduce(bundle);
  held = new HeldLabel(bundle.thresholds);
  if (bundle.artifacts.length === 0) {
    view.tell("nothing_fit", {}, "problem");
    return;
  }
  const engines = Object.keys(ENGINE_NAMES).filter((name) => bundle.artifacts.some(({ engine }) => engine === name));
  fill(at("engine"), engines.map((name) => [name, ENGINE_NAMES[name]]));
  at("engine").value = bundle.artifacts[0].engine;
  offerArtifacts();
  gpu = await realGpu();
  at("hardware").disabled = false;
  at("hardware").querySelector("[value=webgpu]").disabled = !gpu;
  await openModel();
}

start();
