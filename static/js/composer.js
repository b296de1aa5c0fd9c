/** Where the user writes: a field that grows, Enter sends, and a button that stops a running answer. */

export class Composer {
  #turn = null;

  /** parts: form, input, send, stop, note, busy, policy (elements). actions: say(content, whenBusy) -> reason or "",
   * cancel(turn); `whenBusy` is "" for what the user has set once for all. */
  constructor(parts, actions, { storage, draftKey }) {
    Object.assign(this, parts, { actions, storage, draftKey });
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
    this.input.placeholder = "No messages can be sent from here.";
    this.send.disabled = true;
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
    const content = this.input.value.toWellFormed().replaceAll("\0", "").trim();
    if (!content || this.input.disabled) return;
    const reason = this.actions.say(content, this.busy.hidden ? "" : this.policy.value);
    this.note.textContent = reason;
    if (!reason) {
      this.input.value = "";
      this.#changed();
    }
    this.focus();
  }

  #changed() {
    this.storage.setItem(this.draftKey, this.input.value);
    this.send.disabled = !this.input.value.trim();
    this.note.textContent = "";
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }
}
