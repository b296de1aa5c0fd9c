/** How much of the licence's limits is used, as the account page says it: a line and a bar each. */

import { el } from "./dom.js";
import { get, RequestError } from "./http.js";
import { locale, t } from "./words.js";

// From here on a gauge warns, as on the account page.
const NEARLY = 0.8;
const SETTLING_MS = 1500; // usage is settled a moment after its answer

export class UsageMeter {
  #timer = 0;

  /** parts: box (a link to the account page). url of the API's usage. */
  constructor(box, { url }) {
    Object.assign(this, { box, url });
  }

  /** Something was used. */
  changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), SETTLING_MS);
  }

  async #read() {
    try {
      this.#show((await get(this.url)).limits);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // an old figure is better than none
    }
  }

  #show(limits) {
    const day = limits?.messages.find(({ window }) => window === "day");
    const gauges = [
      [t("Messages (24 h)"), day?.used, day?.limit],
      [t("Tokens (month)"), limits?.tokens_per_month.used, limits?.tokens_per_month.limit],
    ].filter(([, , most]) => typeof most === "number");
    this.box.replaceChildren(...gauges.map(gauge));
    this.box.hidden = gauges.length === 0;
  }
}

function gauge([name, used, most]) {
  const short = (value) => value.toLocaleString(locale, { notation: value < 100_000 ? "standard" : "compact" });
  const words = t("{used} of {most}", { used: short(used), most: short(most) });
  const nearly = String(most * NEARLY);
  const bounds = { max: String(most || 1), low: nearly, high: used >= most ? nearly : String(most), optimum: "0" };
  const bar = el("meter", { value: String(most ? Math.min(used, most) : 1), ...bounds, "aria-hidden": "true" });
  return el("span", { class: "gauge" }, el("span", {}, name), el("span", {}, words), bar);
}
