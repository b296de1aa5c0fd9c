/** What the page says about itself: the line's state, the workspace's start, and what the user must know. */

import { el, icon } from "./dom.js";
import { clean } from "./text.js";
import { t } from "./words.js";

const LINE = {
  ready: t("Connected"),
  waiting: t("Reconnecting…"),
  offline: t("Offline"),
  signed_out: t("Signed out"),
  refused: t("Not connected"),
};

// What a page that is coming back goes through is still "reconnecting".
const COMING_BACK = new Set(["connecting", "open"]);

/** The header: connection state and which conversation this is. */
export class Header {
  /** parts: line, lineText, back, tiers (elements; each tier is shown in several places), models (a ModelChoice). */
  constructor(parts) {
    Object.assign(this, parts);
  }

  phase(phase) {
    if (!COMING_BACK.has(phase) || this.line.dataset.phase === "new") this.#show(phase);
  }

  ready({ model, licence }) {
    this.phase("ready");
    for (const place of this.tiers) place.textContent = place.dataset.tier = licence;
    this.models.greeted({ model, licence });
  }

  conversation(isOther) {
    this.back.hidden = !isOther;
  }

  #show(phase) {
    this.line.dataset.phase = phase;
    this.line.title = LINE[phase];
    this.lineText.textContent = LINE[phase];
  }
}

const STAGES = ["queued", "scheduling", "pulling", "starting", "ready"];
const READY_SHOWN_MS = 1500;
// A workspace that runs is reported ready before this; its stages are no news.
const QUIET_MS = 300;

/** The quiet line that tells how far the workspace's start has come. */
export class Progress {
  #timer = 0;

  /** parts: box, bar (a <progress>), text. */
  constructor(parts) {
    Object.assign(this, parts);
    this.bar.max = STAGES.length;
  }

  stage(state, detail) {
    this.box.dataset.state = state;
    this.text.textContent = clean(detail ? t(detail) : t("Workspace: {state}", { state }));
    if (STAGES.includes(state)) this.bar.value = STAGES.indexOf(state) + 1;
    if (state === "ready") this.#later(() => this.hide(), this.box.hidden ? 0 : READY_SHOWN_MS);
    else if (this.box.hidden) this.#later(() => this.#reveal(), QUIET_MS);
  }

  hide() {
    clearTimeout(this.#timer);
    this.box.hidden = true;
  }

  #reveal() {
    this.box.hidden = false;
  }

  #later(action, delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delay);
  }
}

/** One message at a time above the composer, the most serious one last. */
export class Banner {
  #lasting = false;

  constructor(box) {
    this.box = box;
  }

  /** Gone with the next good news from the gateway. */
  clear() {
    if (!this.#lasting) this.box.hidden = true;
  }

  offline() {
    this.#show("info", t("You are offline. What you write is sent when the connection is back."));
  }

  error({ message, retry_after_s: seconds }) {
    const again = seconds ? t("Try again in {seconds} s.", { seconds: Math.ceil(seconds) }) : "";
    this.#show("error", [t(message), again].filter(Boolean).join(" "), this.#dismiss());
  }

  expiring(seconds) {
    const minutes = Math.max(1, Math.round(seconds / 60));
    this.#show("info", t("Your session ends in {minutes} min.", { minutes }), signIn(t("Sign in again")));
  }

  signedOut() {
    this.#lasting = true;
    this.#show("error", t("Your session has ended. What you wrote is kept."), signIn(t("Sign in")));
  }

  /** The gateway will not serve this user; `message` may have been shown by an error frame before. */
  refused(message) {
    this.#lasting = true;
    const why = message ? t(message) : t("The server has closed this conversation.");
    if (message || this.box.hidden) this.#show("error", why);
    this.box.querySelector("button")?.remove();
  }

  #dismiss() {
    const button = { type: "button", class: "quiet", "aria-label": t("Dismiss"), onclick: () => this.clear() };
    return el("button", button, icon("close"));
  }

  #show(kind, text, action) {
    this.box.dataset.kind = kind;
    const sign = icon(kind === "error" ? "alert" : "info");
    this.box.replaceChildren(sign, el("p", {}, clean(text)), ...(action ? [action] : []));
    this.box.hidden = false;
  }
}

function signIn(label) {
  const next = encodeURIComponent(location.pathname + location.hash);
  return el("a", { class: "button small", href: `/signin/?next=${next}` }, label);
}
