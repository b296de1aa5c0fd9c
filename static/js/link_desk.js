/**
 * Which accounts are linked, and how far a new link has come: asks the gateway, tells the views. Draws nothing.
 *
 * A code is known to this page alone. While one is open or a request waits, the page asks every two seconds, and at
 * once when the user comes back to it from the chat app.
 */

import { get, post, remove, RequestError } from "./http.js";
import { t } from "./words.js";

const EVERY_MS = 2000;
// The server does not answer: ask less often.
const PATIENTLY_MS = 10_000;
const TICK_MS = 1000;

export class LinkDesk {
  #codes = new Map(); // by channel: {channel, code, deepLink, expiresAt, over}
  #state = { links: [], requests: [] };
  #asked = 0; // answers to what was asked before the last change of ours are stale
  #timer = 0;

  /** parts: url, clock, label(channel), views {list, cards, note, spoken, offers}, linked(channels), which hears of them. */
  constructor(parts) {
    Object.assign(this, parts);
  }

  start({ links, requests }) {
    this.views.offers?.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.begin(button.dataset.channel);
    });
    for (const button of this.views.offers?.querySelectorAll("button") ?? []) button.disabled = false;
    document.addEventListener("visibilitychange", () => this.#look());
    setInterval(() => this.#tick(), TICK_MS);
    this.#show({ links, requests });
    this.#later(EVERY_MS);
  }

  /** Get a code; one of the same channel before it is no good any more. */
  begin(channel) {
    return this.#act(async () => {
      const made = await post(`${this.url}/codes`, { channel });
      const { code, command, deep_link: deepLink, expires_at: expiresAt } = made;
      this.#codes.set(channel, { channel, code, command, deepLink, expiresAt, over: false });
    });
  }

  /** Put the code away; it ends by itself. */
  cancel(channel) {
    this.#codes.delete(channel);
    this.#draw();
    this.#offer(channel)?.focus();
  }

  /** Say yes (`confirm`) or no (`reject`) to a request. */
  decide(request, decision) {
    return this.#act(async () => {
      await post(`${this.url}/${request.id}/${decision}`);
      this.#say(decided(decision, { channel: this.label(request.channel) }));
    });
  }

  /** End a link. */
  unlink(link) {
    return this.#act(async () => {
      await remove(`${this.url}/${link.id}`);
      this.#say(t("{channel} account unlinked.", { channel: this.label(link.channel) }));
    });
  }

  /** Do something the user asked for, then see how things stand; what goes wrong is said. */
  async #act(step) {
    this.views.note.hide();
    this.#asked += 1;
    try {
      await step();
    } catch (error) {
      this.views.note.complain(error);
    }
    this.#asked += 1;
    await this.#ask();
  }

  async #ask() {
    const asked = this.#asked;
    try {
      const state = await get(this.url);
      if (asked === this.#asked) this.#show(state);
      this.#later(EVERY_MS);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.kind === "signed_out") this.views.note.complain(error);
      else this.#later(PATIENTLY_MS);
    }
  }

  #show(state) {
    for (const { channel, expiresAt } of this.#codes.values()) {
      const own = (request) => request.channel === channel && request.expires_at === expiresAt;
      if (!state.requests.some((request) => request.state === "open" && own(request))) this.#codeIsGone(channel, state);
    }
    this.#state = state;
    this.#draw();
  }

  /** A code that is open no more was used, has expired, or was replaced by another tab's. */
  #codeIsGone(channel, { requests }) {
    const code = this.#codes.get(channel);
    const ofChannel = requests.filter(({ channel: its }) => its === channel);
    const came = ofChannel.find(({ id, state }) => state !== "open" && !this.#knows(id));
    const ended = this.clock.left(code.expiresAt) === 0 || ofChannel.some(({ state }) => state === "open");
    if (!came && ended) {
      code.over = true;
      return;
    }
    this.#codes.delete(channel);
    const label = this.label(channel);
    if (!came) this.views.note.tell(t("The code was used, and nothing waits for your answer."));
    else if (came.state === "pending") this.#say(t("A {channel} account asks to be linked.", { channel: label }));
    else this.#say(t("The {channel} account was not linked.", { channel: label }));
  }

  #knows(request) {
    return this.#state.requests.some(({ id, state }) => id === request && state !== "open");
  }

  #draw() {
    const { links, requests } = this.#state;
    this.views.list.show(links);
    this.linked([...new Set(links.map(({ channel }) => channel))]);
    this.views.cards.show([...this.#codes.values()], requests.filter(({ state }) => state !== "open"));
    for (const button of this.views.offers?.querySelectorAll("button") ?? []) {
      button.hidden = this.#codes.has(button.dataset.channel);
    }
  }

  #tick() {
    for (const code of this.#codes.values()) code.over ||= this.clock.left(code.expiresAt) === 0;
    this.#draw();
  }

  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  /** Ask if there is something to wait for and somebody to see it. */
  #look() {
    if (document.visibilityState !== "visible") return;
    const waits = [...this.#codes.values()].some(({ over }) => !over) || this.#state.requests.length > 0;
    if (waits) this.#ask();
    else this.#later(EVERY_MS);
  }

  #offer(channel) {
    return this.views.offers?.querySelector(`[data-channel="${CSS.escape(channel)}"]`);
  }

  /** For those who do not see the page change. */
  #say(text) {
    this.views.spoken.textContent = text;
  }
}

function decided(decision, values) {
  return decision === "confirm" ? t("{channel} account linked.", values) : t("{channel} account rejected.", values);
}
