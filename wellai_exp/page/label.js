// Which pose is named, frame after frame.
//
// One frame says little: a model flickers between poses while somebody moves. So the last half second counts as a
// whole. Frames are weighted by the time for which each was the newest (not by their number, so that 10 and 60 frames a
// second come to the same), and a pose is named when
//   1. half a second has been seen at all,
//   2. its mean probability over that half second is the largest and reaches the pose's own threshold, and
//   3. it led for at least 80 % of that half second.
// A pose that is held for half a second is therefore named then; one that flashes up for less than 0.4 s never is,
// however sure the model was; and a single odd frame in between (at most a fifth of the time) takes nothing away.
// A named pose stays for as long as it has the largest mean, reaches its threshold, and led for half of that time.

export const HOLD_MS = 500;
export const LEADS = 0.8;
export const KEEPS = 0.5;

/** The place of the largest value. */
export function leading(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}

/** Whether one picture's probabilities name a pose: its place, or -1 where the largest is below its threshold. */
export function verdict(probabilities, thresholds) {
  const best = leading(probabilities);
  return probabilities[best] >= thresholds[best] ? best : -1;
}

/** The places of the k largest values, largest first. */
export function largest(values, k) {
  const order = Array.from(values.keys());
  order.sort((one, other) => values[other] - values[one] || one - other);
  return order.slice(0, k);
}

export class HeldLabel {
  #thresholds;
  #frames = [];
  #named = -1;

  constructor(thresholds) {
    this.#thresholds = thresholds;
  }

  /** Forget all, e.g. for another camera. */
  reset() {
    this.#frames = [];
    this.#named = -1;
  }

  /**
   * Take the next frame's probabilities at a time in milliseconds; gives the pose that is named (-1: none), the mean
   * probabilities, and whether half a second has been seen.
   */
  add(probabilities, time) {
    const frames = this.#frames;
    frames.push({ probabilities, time, leads: leading(probabilities) });
    // The frame before the window is kept: it was the newest when the window began.
    while (frames.length > 1 && frames[1].time <= time - HOLD_MS) frames.shift();
    const start = Math.max(time - HOLD_MS, frames[0].time);
    const mean = new Float32Array(probabilities.length);
    const led = new Float32Array(probabilities.length);
    const seen = time - start;
    frames.forEach((frame, index) => {
      const until = index + 1 < frames.length ? frames[index + 1].time : time;
      // The first frame of all has stood for no time yet, and is all there is.
      const share = seen > 0 ? (until - Math.max(frame.time, start)) / seen : 1;
      led[frame.leads] += share;
      for (let each = 0; each < mean.length; each++) mean[each] += share * frame.probabilities[each];
    });
    const best = leading(mean);
    const whole = frames[0].time <= time - HOLD_MS;
    const needed = best === this.#named ? KEEPS : LEADS;
    this.#named = whole && mean[best] >= this.#thresholds[best] && led[best] >= needed ? best : -1;
    return { named: this.#named, mean, whole };
  }
}
