// What the page shows. Names of files and classes come from outside: they become text, never markup.

import { largest } from "./label.js";

const ROWS = 5;
const NUMBERS_MS = 125;
const ANNOUNCE_MS = 1000;
const SHOWN_NAME = 60;

const at = (id) => document.getElementById(id);

/** A file's name, short enough to show; characters that turn the direction of text around are left out. */
export function shownName(name) {
  const plain = name.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "").trim() || "?";
  const letters = Array.from(plain);
  return letters.length > SHOWN_NAME ? `${letters.slice(0, SHOWN_NAME - 12).join("")}…${letters.slice(-11).join("")}` : plain;
}

export class View {
  #words;
  #bundle = null;
  #message = () => "";
  #shown = { kind: "waiting" };
  #rows = [];
  #numbersAt = 0;
  #announced = "";
  #soon = { text: "", timer: 0 };

  constructor(words) {
    this.speak(words);
  }

  /** Change the language of all that is shown. */
  speak(words) {
    this.#words = words;
    document.documentElement.lang = words.language;
    for (const each of document.querySelectorAll("[data-words]")) each.textContent = words.say(each.dataset.words);
    at("language").value = words.language;
    at("message").textContent = this.#message(words);
    if (this.#bundle) this.introduce(this.#bundle);
    this.#label();
  }

  /** Say what model this is. */
  introduce(bundle) {
    this.#bundle = bundle;
    const words = this.#words;
    document.title = `${bundle.title} · wellai_exp`;
    at("title").textContent = bundle.title;
    at("bars").style.setProperty("--rows", Math.min(ROWS, bundle.names.length));
    at("subtitle").textContent = words.say("subtitle", { classes: words.whole.format(bundle.names.length), size: bundle.size });
    at("about").textContent = words.say("about", { created: words.date(bundle.created), sha: bundle.sha.slice(0, 12) });
  }

  /** Say how it goes; `kind` is "" or "problem". */
  tell(key, values = {}, kind = "") {
    this.#message = (words) => words.say(key, Object.fromEntries(Object.entries(values).map(([name, value]) =>
      [name, typeof value === "function" ? value(words) : value])));
    at("message").dataset.kind = kind;
    at("message").textContent = this.#message(this.#words);
  }

  /** Show nothing but that a picture is awaited. */
  wait() {
    this.#shown = { kind: "waiting" };
    this.#numbersAt = 0;
    for (const id of ["fps", "latency", "model-time"]) at(id).textContent = "–";
    at("bars").replaceChildren();
    this.#rows = [];
    this.#label();
    this.#announce("", 0);
  }

  /** Show an answer; `figures` holds fps (null for a still picture), latency and model, in milliseconds. */
  answer({ named, probabilities, moving, figures, now }) {
    const changed = this.#shown.kind !== "answer" || this.#shown.named !== named;
    const due = now - this.#numbersAt >= NUMBERS_MS;
    if (!changed && moving && !due) return;
    this.#shown = { kind: "answer", named, probabilities, moving };
    this.#label();
    this.#bars();
    if (!due && moving) return;
    this.#numbersAt = now;
    const words = this.#words;
    const milliseconds = (value) => words.say("milliseconds", { value: words.tenths.format(value) });
    at("fps").textContent = figures.fps === null ? "–" : words.tenths.format(figures.fps);
    at("latency").textContent = milliseconds(figures.latency);
    at("model-time").textContent = milliseconds(figures.model);
  }

  #label() {
    const { kind, named, probabilities, moving } = this.#shown;
    const words = this.#words;
    const card = at("answer");
    if (kind === "waiting") {
      card.dataset.state = "waiting";
      at("label").textContent = "–";
      at("detail").textContent = words.say("waiting");
      return;
    }
    const { names, parents, thresholds } = this.#bundle;
    card.dataset.state = named < 0 ? "none" : "named";
    if (named < 0) {
      const [closest] = largest(probabilities, 1);
      at("label").textContent = words.say("no_pose");
      const why = probabilities[closest] >= thresholds[closest] ? "hold" : "not_sure";
      at("detail").textContent = words.say(why, { name: names[closest] });
    } else {
      const percent = words.percent(probabilities[named]);
      const sure = words.say(moving ? "held" : "sure", { percent });
      at("label").textContent = names[named];
      at("detail").textContent = [...parents[named].slice().reverse(), sure].join(" · ");
    }
    const name = named < 0 ? words.say("no_pose") : names[named];
    this.#announce(name, moving ? ANNOUNCE_MS : 0);
  }

  // A screen reader hears a pose once it has stayed for a second, and not the same one twice in a row.
  #announce(text, delay) {
    if (text === this.#soon.text) return;
    clearTimeout(this.#soon.timer);
    const timer = setTimeout(() => {
      if (text !== this.#announced) at("announcement").textContent = text;
      this.#announced = text;
    }, delay);
    this.#soon = { text, timer };
  }

  #bars() {
    const { named, probabilities } = this.#shown;
    const { names, thresholds } = this.#bundle;
    const best = largest(probabilities, Math.min(ROWS, names.length));
    while (this.#rows.length < best.length) this.#rows.push(row(at("bars")));
    best.forEach((index, place) => {
      const { item, name, percent, track } = this.#rows[place];
      name.textContent = names[index];
      percent.textContent = this.#words.percent(probabilities[index]);
      item.dataset.named = String(index === named);
      item.dataset.seen = String(probabilities[index] >= thresholds[index]);
      track.style.setProperty("--share", probabilities[index].toFixed(3));
      track.style.setProperty("--threshold", thresholds[index].toFixed(3));
    });
  }
}

function row(list) {
  const item = document.createElement("li");
  const [name, percent, track, fill, tick] = ["span", "span", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.className = "bar-name";
  name.dir = "auto";
  percent.className = "bar-percent";
  track.className = "bar-track";
  // The percentage says the same in words.
  track.setAttribute("aria-hidden", "true");
  fill.className = "bar-fill";
  tick.className = "bar-tick";
  track.append(fill, tick);
  item.append(name, percent, track);
  list.append(item);
  return { item, name, percent, track };
}
