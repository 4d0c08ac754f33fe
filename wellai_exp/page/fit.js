// From a picture's pixels to the model's square, as the photographs were prepared for training
// (wellai_exp.data.fit): sides that shrink are averaged over areas, sides that grow are interpolated bilinearly.
// A canvas would scale by a rule of the browser's own, and the model would see other pixels than it learned from.

export const PAD_GREY = 128;

// As Python's round(): a half goes to the even neighbour.
function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** Which rectangle of the picture goes where in the square: "stretch", "crop" or "pad". */
export function placed(width, height, size, how) {
  if (how === "crop") {
    const side = Math.min(width, height);
    const left = Math.floor((width - side) / 2);
    const top = Math.floor((height - side) / 2);
    return { left, top, width: side, height: side, toLeft: 0, toTop: 0, toWidth: size, toHeight: size };
  }
  if (how === "pad") {
    const scale = size / Math.max(width, height);
    const toWidth = Math.max(1, roundHalfEven(width * scale));
    const toHeight = Math.max(1, roundHalfEven(height * scale));
    const toLeft = Math.floor((size - toWidth) / 2);
    const toTop = Math.floor((size - toHeight) / 2);
    return { left: 0, top: 0, width, height, toLeft, toTop, toWidth, toHeight };
  }
  if (how === "stretch") {
    return { left: 0, top: 0, width, height, toLeft: 0, toTop: 0, toWidth: size, toHeight: size };
  }
  throw new Error(`resize ${how}`);
}

// For each target pixel the source pixels it covers and each one's share, in [target, source, share] order.
function areas(from, to) {
  const scale = from / to;
  const cover = [];
  for (let target = 0; target < to; target++) {
    const start = target * scale;
    const end = start + scale;
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) cover.push([target, first - 1, (first - start) / cell]);
    for (let source = first; source < last; source++) cover.push([target, source, 1 / cell]);
    if (end - last > 1e-3) cover.push([target, last, Math.min(end - last, 1, cell) / cell]);
  }
  return cover;
}

const known = new Map();

function remembered(kind, make, from, to) {
  const key = `${kind} ${from} ${to}`;
  if (!known.has(key)) {
    if (known.size > 64) known.clear();
    const cover = make(from, to);
    known.set(key, {
      target: Int32Array.from(cover, (each) => each[0]),
      source: Int32Array.from(cover, (each) => each[1]),
      share: Float32Array.from(cover, (each) => each[2]),
    });
  }
  return known.get(key);
}

// For each target pixel its two neighbours in the source and their weights; the outermost are repeated.
function neighbours(from, to) {
  const scale = from / to;
  const cover = [];
  for (let target = 0; target < to; target++) {
    const place = Math.min(Math.max((target + 0.5) * scale - 0.5, 0), from - 1);
    const first = Math.floor(place);
    const second = Math.min(first + 1, from - 1);
    cover.push([target, first, 1 - (place - first)], [target, second, place - first]);
  }
  return cover;
}

// Rows first, then columns: both rules are products of one rule a direction. `step` is the distance of two pixels in
// `pixels`, 4 for a canvas's RGBA.
function resampled(kind, make, pixels, step, width, height, toWidth, toHeight) {
  const across = remembered(kind, make, width, toWidth);
  const down = remembered(kind, make, height, toHeight);
  const sums = new Float32Array(toWidth * toHeight * 3);
  const row = new Float32Array(toWidth * 3);
  let done = -1;
  for (let index = 0; index < down.target.length; index++) {
    const source = down.source[index];
    if (source !== done) {
      row.fill(0);
      const start = source * width;
      for (let each = 0; each < across.target.length; each++) {
        const to = across.target[each] * 3;
        const from = (start + across.source[each]) * step;
        const share = across.share[each];
        row[to] += share * pixels[from];
        row[to + 1] += share * pixels[from + 1];
        row[to + 2] += share * pixels[from + 2];
      }
      done = source;
    }
    const share = down.share[index];
    const start = down.target[index] * row.length;
    for (let each = 0; each < row.length; each++) sums[start + each] += share * row[each];
  }
  // A clamped array rounds to the nearest whole number, halves to even, as OpenCV does.
  return Uint8ClampedArray.from(sums);
}

/** Bring RGBA pixels of a whole rectangle to RGB of toWidth x toHeight. */
export function resized(rgba, width, height, toWidth, toHeight) {
  // Averaging over areas serves only where neither side grows, so shrink first and grow afterwards.
  const smallWidth = Math.min(width, toWidth);
  const smallHeight = Math.min(height, toHeight);
  const small = resampled("area", areas, rgba, 4, width, height, smallWidth, smallHeight);
  if (smallWidth === toWidth && smallHeight === toHeight) return small;
  return resampled("linear", neighbours, small, 3, smallWidth, smallHeight, toWidth, toHeight);
}

/** Lay RGB pixels into the square; what they do not cover is grey. */
export function laid(rgb, place, size) {
  if (place.toWidth === size && place.toHeight === size) return rgb;
  const square = new Uint8ClampedArray(size * size * 3).fill(PAD_GREY);
  for (let row = 0; row < place.toHeight; row++) {
    const from = row * place.toWidth * 3;
    square.set(rgb.subarray(from, from + place.toWidth * 3), ((place.toTop + row) * size + place.toLeft) * 3);
  }
  return square;
}
