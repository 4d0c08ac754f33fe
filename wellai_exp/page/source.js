// Where pictures come from: a camera, a picture file, a video file. Nothing here sends anything anywhere.

const MAX_IMAGE_MB = 64;
const MAX_VIDEO_MB = 2000;
/** As wellai_exp.data refuses: a PNG of 100 kB can hold 900 megapixels, which take gigabytes to decode. */
const MAX_MEGAPIXELS = 50;
/** A longer side is made shorter while decoding; the model's square is far smaller still. */
const MAX_SIDE = 4096;

/** A problem with a sentence of its own in locales/. */
export class SourceProblem extends Error {
  constructor(words, values = {}) {
    super(words);
    this.words = words;
    this.values = values;
  }
}

const CAMERA_PROBLEMS = {
  NotAllowedError: "camera_refused",
  SecurityError: "camera_refused",
  NotFoundError: "camera_none",
  OverconstrainedError: "camera_none",
  NotReadableError: "camera_busy",
  AbortError: "camera_busy",
};

/** Ask for a camera; by its id, or the one that faces the user. */
export async function openCamera(id) {
  if (!navigator.mediaDevices?.getUserMedia) throw new SourceProblem("camera_insecure");
  // More pixels would be averaged away; more frames keep the answer fresh.
  const usual = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 60 } };
  const which = id ? { deviceId: { exact: id } } : { facingMode: "user" };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...usual, ...which }, audio: false });
  } catch (error) {
    throw new SourceProblem(CAMERA_PROBLEMS[error.name] ?? "camera_failed", { problem: error.name });
  }
}

/** The cameras there are; their names are known only once one was allowed. */
export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput");
}

// The size from the file's head alone: an image element lays nothing out and decodes nothing until it is drawn.
async function sizeOf(file) {
  const url = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = url;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(url);
  }
}

function refuseLarge(file, limit) {
  if (file.size === 0) throw new SourceProblem("empty_file", { name: file.name });
  const megabytes = file.size / 1e6;
  if (megabytes > limit) throw new SourceProblem("too_large", { name: file.name, megabytes, limit });
}

/** Decode a picture, upright, its colours as they stand in the file, as in training. */
export async function openPicture(file) {
  refuseLarge(file, MAX_IMAGE_MB);
  const undecodable = new SourceProblem("cannot_decode", { name: file.name });
  // A drawing is no photograph, and has no size of its own.
  if (file.type === "image/svg+xml") throw undecodable;
  let size;
  try {
    size = await sizeOf(file);
  } catch {
    throw undecodable;
  }
  const megapixels = (size.width * size.height) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    throw new SourceProblem("too_large", { name: file.name, megapixels, limit: MAX_MEGAPIXELS });
  }
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const scale = MAX_SIDE / Math.max(size.width, size.height);
  if (scale < 1) {
    options.resizeWidth = Math.max(1, Math.round(size.width * scale));
    options.resizeHeight = Math.max(1, Math.round(size.height * scale));
    options.resizeQuality = "high";
  }
  try {
    return await createImageBitmap(file, options);
  } catch {
    throw undecodable;
  }
}

/** Play a video file in the element, over and over. */
export async function openVideo(video, file) {
  refuseLarge(file, MAX_VIDEO_MB);
  const url = URL.createObjectURL(file);
  video.srcObject = null;
  video.src = url;
  video.loop = true;
  try {
    await video.play();
    // A sound file plays too, without a picture.
    if (video.videoWidth === 0) throw new Error("no picture");
  } catch {
    closeVideo(video);
    throw new SourceProblem("cannot_decode", { name: file.name });
  }
}

/** Show a camera in the element. */
export async function showCamera(video, stream) {
  video.srcObject = stream;
  await video.play();
}

/** Take whatever the element shows away, and switch the camera off. */
export function closeVideo(video) {
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}

/**
 * Call `take(time)` for each new frame of the element; while it works, frames pass by, and the newest one follows at
 * once. Gives a function that ends it.
 */
export function everyFrame(video, take) {
  let ended = false;
  let fresh = false;
  let busy = false;
  const next = (then) =>
    video.requestVideoFrameCallback ? video.requestVideoFrameCallback(then) : requestAnimationFrame(then);

  async function pump() {
    if (busy) return;
    busy = true;
    while (fresh && !ended) {
      fresh = false;
      await take(performance.now());
    }
    busy = false;
  }

  function arrived() {
    if (ended) return;
    next(arrived);
    fresh = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    pump();
  }

  next(arrived);
  return () => {
    ended = true;
  };
}
