/**
 * The frame around something that waits for the user: a title, what it is about, ways to settle it, and in the end its
 * outcome in their place. Whatever a workflow or a tool wrote is text here and never markup.
 */

import { label } from "./channels.js";
import { Countdown } from "./countdown.js";
import { el, icon } from "./dom.js";
import { clean } from "./text.js";
import { t } from "./words.js";

const OUTCOMES = {
  approved: ["check", t("Approved")],
  rejected: ["close", t("Rejected")],
  answered: ["check", t("Answered")],
  declined: ["close", t("Not answered")],
  expired: ["alert", t("Not decided in time")],
  cancelled: ["stop", t("Withdrawn")],
};

export class WaitCard {
  #note = el("p", { class: "ask-note", role: "alert" });
  #ways;
  #countdown;
  #settled = false;
  #focused = false; // it had the focus when its button was pressed, which a disabled button gives up

  #kind = el("span");

  /** `kind` for people, `past` once it is settled; `body` nodes; `controls` settle it, disabled while an answer is awaited. */
  constructor({ kind, past, title, until, body, controls }) {
    Object.assign(this, { past, controls });
    this.#kind.textContent = kind;
    this.#countdown = new Countdown(until, () => this.#disable(true));
    this.#ways = el("p", { class: "ask-ways" }, ...controls, el("span", {}, this.#countdown.node));
    const heading = el("h3", { dir: "auto", tabindex: "-1" }, clean(title));
    const label = `${kind}: ${clean(title)}`;
    this.node = el("section", { class: "ask wait", role: "group", "aria-label": label, "data-state": "pending" },
      el("p", { class: "ask-kind" }, icon("person"), this.#kind), heading, ...body, this.#ways, this.#note);
  }

  get pending() {
    return !this.#settled;
  }

  /** The gateway has been asked; nothing else may be pressed until it answers. */
  sent() {
    this.#focused = this.node.contains(document.activeElement);
    this.#disable(true);
    this.#note.textContent = "";
  }

  /** It was not taken: why, and whether it can be tried again. */
  refused(message, final) {
    if (this.#settled) return;
    this.#note.textContent = message ? clean(t(message)) : "";
    this.#disable(Boolean(final));
    this.#keepFocus();
  }

  settle(outcome, channel) {
    if (this.#settled) return;
    this.#settled = true;
    this.#countdown.stop();
    this.#focused ||= this.node.contains(document.activeElement);
    const [sign, words] = OUTCOMES[outcome] ?? ["info", clean(outcome)];
    const place = channel && !(outcome in { expired: 1, cancelled: 1 }) ? ` ${placeOf(channel)}` : "";
    this.node.dataset.state = outcome;
    this.#kind.textContent = this.past;
    this.#ways.replaceWith(el("p", { class: "ask-outcome" }, icon(sign), `${words}${place}.`));
    this.#note.textContent = "";
    this.#disable(true);
    this.#keepFocus();
  }

  /** Whoever pressed a button with the keyboard goes on from here, not from the top of the page. */
  #keepFocus() {
    const lost = document.activeElement === document.body || !document.activeElement?.isConnected;
    if (this.#focused && lost) this.node.querySelector("h3").focus({ preventScroll: true });
    this.#focused = false;
  }

  #disable(yes) {
    for (const control of this.controls) control.disabled = yes;
    for (const field of this.node?.querySelectorAll("input, select, textarea") ?? []) field.disabled = yes;
  }
}

function placeOf(channel) {
  return channel === "web" ? t("on the web page") : t("in {channel}", { channel: label(channel) });
}
