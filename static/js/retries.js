/** What was refused is tried again, each time after a longer wait, until it goes well. */

import { backoff } from "./backoff.js";

export class Retries {
  #waits = new Map(); // key -> {attempt, timer}

  /** Do `action` in `least` milliseconds or later; the wait for one key grows with each call to 20 s. */
  later(key, action, { least }) {
    const wait = this.#waits.get(key) ?? { attempt: 0, timer: 0 };
    clearTimeout(wait.timer);
    wait.attempt += 1;
    wait.timer = setTimeout(action, backoff(wait.attempt, { least }));
    this.#waits.set(key, wait);
  }

  /** It went well, or is not wanted any more: the next refusal is a first one again. */
  settle(key) {
    clearTimeout(this.#waits.get(key)?.timer);
    this.#waits.delete(key);
  }

  clear() {
    for (const key of [...this.#waits.keys()]) this.settle(key);
  }
}
