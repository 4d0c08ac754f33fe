// The page's words in the reader's language.

import { en } from "./locales/en.js";
import { ko } from "./locales/ko.js";

const LANGUAGES = { en, ko };

/** The first of the browser's languages that there are words for. */
export function preferred() {
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.split("-")[0].toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

export class Words {
  constructor(language) {
    this.language = language;
    this.percentage = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
    this.tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    this.whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  }

  /** The words of that key, with {names} replaced. */
  say(key, values = {}) {
    return LANGUAGES[this.language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  percent(share) {
    return this.percentage.format(share);
  }

  date(text) {
    return new Intl.DateTimeFormat(this.language, { dateStyle: "medium" }).format(new Date(text));
  }
}
