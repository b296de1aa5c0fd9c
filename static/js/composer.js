/** Where the user writes: a field that grows, Enter sends, and a button that stops a running answer. */

import { t } from "./words.js";

// What is asked of files that come without a word.
const ONLY_FILES = t("Please look at what is attached.");

export class Composer {
  #turn = null;

  /** parts: form, input, send, stop, note, busy, policy (elements), model (a ModelChoice). actions: say(content, {whenBusy,
   * model, takeFiles}) -> reason or "", cancel(turn); `whenBusy` and `model` are "" for what the user has set once for all.
   * `attach(onChange, onProblem)` makes the files' part, an Attachments. */
  constructor(parts, actions, { storage, draftKey, attach }) {
    Object.assign(this, parts, { actions, storage, draftKey });
    this.files = attach({ onChange: () => this.#ready(), onProblem: (text) => this.#tell(text) });
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.input.addEventListener("input", () => this.#changed());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.stop.addEventListener("click", () => this.actions.cancel(this.#turn));
    // Until now nobody listened: what was typed would have gone nowhere.
    this.input.disabled = false;
    this.input.value = storage.getItem(draftKey) ?? "";
    this.#changed();
  }

  focus() {
    this.input.focus();
  }

  /** What the user has chosen for the next message. */
  get choices() {
    return { whenBusy: this.busy.hidden ? "" : this.policy.value, model: this.model.value };
  }

  /** Nothing is written or being answered. */
  get idle() {
    return this.#turn === null && !this.input.value && this.files.empty;
  }

  /** `turn` runs (null: none does); `stopping`: it was asked to stop. */
  running(turn, stopping) {
    const hadFocus = document.activeElement === this.stop;
    this.#turn = turn;
    this.stop.hidden = turn === null;
    this.busy.hidden = turn === null;
    this.stop.disabled = stopping;
    if (hadFocus && (turn === null || stopping)) this.focus();
  }

  /** No message can be sent any more from this page. */
  close() {
    this.input.disabled = true;
    this.input.placeholder = t("Nothing can be sent now.");
    this.send.disabled = true;
    this.files.close();
  }

  #key(event) {
    // 229: an input method is composing in a browser that does not say so (Safari ends composition before keydown).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    // Half a surrogate pair or a NUL, which a paste may bring, can be stored nowhere.
    const words = this.input.value.toWellFormed().replaceAll("\0", "").trim();
    const content = words || (this.files.empty ? "" : ONLY_FILES);
    if (!content || this.input.disabled) return;
    const reason = this.files.busy ? t("A file is still on its way. Send again in a moment.") : this.#say(content);
    this.#tell(reason);
    this.focus();
  }

  #say(content) {
    const reason = this.actions.say(content, { ...this.choices, takeFiles: () => this.files.take() });
    if (reason) return reason;
    this.input.value = "";
    this.#changed();
    return "";
  }

  #changed() {
    this.storage.setItem(this.draftKey, this.input.value);
    this.#ready();
    this.#tell("");
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  #ready() {
    this.send.disabled = this.input.disabled || (!this.input.value.trim() && this.files.empty);
  }

  #tell(text) {
    this.note.textContent = text;
  }
}
