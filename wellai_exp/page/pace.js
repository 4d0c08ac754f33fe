// How fast it goes: answers a second, and milliseconds from a frame to its answer, over the last two seconds.

const WINDOW_MS = 2000;

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export class Pace {
  #answers = [];

  reset() {
    this.#answers = [];
  }

  /** A frame taken at `began` was answered at `done`; the model took `modelMs` of that. */
  add(began, done, modelMs) {
    this.#answers.push({ done, latency: done - began, modelMs });
    while (this.#answers[0].done < done - WINDOW_MS) this.#answers.shift();
  }

  /** fps (null until there are two answers), latency and model, both medians in milliseconds. */
  figures() {
    const answers = this.#answers;
    const seconds = (answers.at(-1).done - answers[0].done) / 1000;
    return {
      fps: seconds > 0 ? (answers.length - 1) / seconds : null,
      latency: median(answers.map(({ latency }) => latency)),
      model: median(answers.map(({ modelMs }) => modelMs)),
    };
  }
}
