/** The server's clock, as far as this page can tell, and what is left until a moment of it. */

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
