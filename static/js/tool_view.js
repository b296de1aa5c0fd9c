/** One call of a tool: a line with its state, folded open to arguments and result. */

import { el, icon } from "./dom.js";
import { argumentLine, clean, duration, laidOut, shorten, toolLabel } from "./text.js";
import { t } from "./words.js";

// What a person reads; the model has seen more.
const LONGEST_RESULT = 4000;

export class ToolView {
  #state = el("span", { class: "tool-state" });
  #note = el("span", { class: "tool-note" });
  #time = el("span", { class: "tool-time" });
  #body = el("div", { class: "tool-body" });
  #settled = false;

  constructor({ tool, arguments: values }) {
    const name = el("span", { class: "tool-name" }, toolLabel(tool));
    const line = el("summary", {}, this.#state, name, this.#note, this.#time, icon("chevron"));
    this.node = el("details", { class: "tool" }, line, this.#body);
    this.#note.textContent = argumentLine(values ?? {});
    if (Object.keys(values ?? {}).length) this.#section(t("Arguments"), JSON.stringify(values, null, 2));
    this.#show("running", t("Running"));
  }

  progress({ progress, total, message }) {
    const share = total ? `${Math.round((100 * progress) / total)} %` : "";
    this.#time.textContent = share;
    if (message) this.#note.textContent = shorten(clean(message), 80);
  }

  result({ summary, ms, error }) {
    this.#settled = true;
    this.#time.textContent = ms === undefined ? "" : duration(ms);
    if (error) this.#section(t("Error"), error);
    if (summary) this.#section(t("Result"), laidOut(summary));
    this.#show(error ? "failed" : "done", error ? t("Failed") : t("Done"));
  }

  /** The turn went on or ended without this call's result. */
  abandon() {
    if (this.#settled) return;
    this.#time.textContent = "";
    this.#show("stopped", t("Stopped"));
  }

  #show(state, label) {
    this.node.dataset.state = state;
    const sign = { running: "spinner", done: "check", failed: "alert", stopped: "stop" }[state];
    this.#state.replaceChildren(icon(sign), el("span", { class: "hidden-text" }, label));
  }

  #section(title, text) {
    const content = shorten(clean(text), LONGEST_RESULT);
    this.#body.append(el("h3", {}, title), el("pre", { tabindex: "0" }, content));
  }
}
