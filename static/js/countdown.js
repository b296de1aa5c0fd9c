/** What is left of the time to decide something, told each second until it is settled. */

import { minutesAndSeconds } from "./clock.js";
import { el } from "./dom.js";
import { counted, t } from "./words.js";

const HOUR_MS = 3_600_000;

export class Countdown {
  #timer = 0;
  node = el("time", { role: "timer" });

  /** `until`: ISO 8601; `over` is called once when the time is up. */
  constructor(until, over) {
    this.until = Date.parse(until);
    this.over = over;
    this.node.setAttribute("datetime", until);
    this.#timer = setInterval(() => this.#tick(), 1000);
    this.#tick();
  }

  stop() {
    clearInterval(this.#timer);
    this.node.remove();
  }

  #tick() {
    const left = Math.max(0, this.until - Date.now());
    const hours = Math.ceil(left / HOUR_MS);
    this.node.textContent = left > HOUR_MS
      ? counted("{count} hour left", "{count} hours left", hours)
      : t("{time} left", { time: minutesAndSeconds(left) });
    if (left > 0) return;
    clearInterval(this.#timer);
    this.node.textContent = t("Time is over");
    this.over();
  }
}
