/** The server's clock, as far as this page can tell, and what is left until a moment of it. */

import { locale } from "./words.js";

export class Clock {
  #ahead;

  /** `now`: the server's time (ISO 8601) when it made the page. */
  constructor(now) {
    this.#ahead = Date.parse(now) - Date.now();
  }

  /** Milliseconds until a moment (ISO 8601); 0 when it is past. */
  left(moment) {
    return Math.max(0, Date.parse(moment) - Date.now() - this.#ahead);
  }
}

/** `9:05` for 545.9 seconds. */
export function minutesAndSeconds(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** `26 Nov 2026` for a moment, in the browser's time zone: the form of the pages that the server writes. */
export function dateOf(moment) {
  return new Date(moment).toLocaleDateString(locale, { day: "numeric", month: "short", year: "numeric" });
}

/** `11:19`, likewise. */
export function timeOf(moment) {
  return new Date(moment).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}
