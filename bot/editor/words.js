// Texts in the person's language; they come from the bot's locales/.

import { TEXTS } from "./given.js";

let words = TEXTS.en;
let language = "en";

export function speak(code) {
  language = code?.split("-")[0] in TEXTS ? code.split("-")[0] : "en";
  words = TEXTS[language];
  document.documentElement.lang = language;
}

export const t = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

/** A refusal in words; shares as percents, bytes as kilobytes. */
export function refused({ reason, values }) {
  const key = `error-${reason}` in words ? `error-${reason}` : "error-away";
  const shares = ["empty", "full"].includes(reason);
  const shown = Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) =>
    [name, shares ? percent(value) : reason === "too-large" ? Math.ceil(value / 1024) : value]));
  return t(key, shown);
}

/** Whole percents; below one, as many digits as it takes to be seen. */
export function percent(share) {
  const value = share * 100;
  const digits = value === 0 || value >= 1 ? 0 : Math.min(Math.ceil(-Math.log10(value)), 3);
  const whole = digits === 0 && value < 100 ? Math.min(Math.round(value), 99) : value;
  return whole.toLocaleString(language, { maximumFractionDigits: digits });
}
