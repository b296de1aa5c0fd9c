/** Which events of which turn have been seen: nothing is shown twice and nothing is left out. */

const LAST_EVENTS = new Set(["done", "failed", "cancelled"]);

export class Ledger {
  #turns = new Map(); // turn -> {conversation, last: seq, open, gap: seq | null}

  /**
   * What to do with an event: "show" it, "drop" it as seen before, or "ask" for those missing before it.
   *
   * A gap is asked for once, and until the answer comes all past the event that showed it is dropped: the answer brings
   * that again. When the answer, too, begins past the gap, the server has no more, and it is shown. A snapshot stands for
   * all before it.
   */
  judge({ turn, conversation, seq, type }) {
    const entry = this.watch(turn, conversation);
    if (seq <= entry.last) return "drop";
    if (seq > entry.last + 1 && type !== "snapshot") {
      if (entry.gap !== null && seq > entry.gap) return "drop";
      if (entry.gap === null) {
        entry.gap = seq;
        return "ask";
      }
    }
    if (seq !== undefined) Object.assign(entry, { last: seq, gap: null });
    if (LAST_EVENTS.has(type)) entry.open = false;
    return "show";
  }

  /** Know of a turn; an unknown one counts as open. */
  watch(turn, conversation = null) {
    if (!this.#turns.has(turn)) this.#turns.set(turn, { conversation, last: 0, open: true, gap: null });
    const entry = this.#turns.get(turn);
    entry.conversation ??= conversation;
    return entry;
  }

  last(turn) {
    return this.#turns.get(turn)?.last ?? 0;
  }

  isOpen(turn) {
    return this.#turns.get(turn)?.open ?? false;
  }

  /** The turn is over, wherever that was learnt. */
  close(turn) {
    this.watch(turn).open = false;
  }

  /** The open turns, oldest first; with `conversation` those of it and those whose conversation is not known yet. */
  open(conversation = null) {
    const mine = ([, entry]) => entry.open
      && (!conversation || !entry.conversation || entry.conversation === conversation);
    return [...this.#turns].filter(mine).map(([turn]) => turn).sort();
  }

  /** The conversations that are being answered, as far as they are known. */
  busy() {
    return new Set([...this.#turns.values()].filter(({ open }) => open).map(({ conversation }) => conversation));
  }

  /** The line was cut: no answer to what was asked for will come. */
  forgetGaps() {
    for (const entry of this.#turns.values()) entry.gap = null;
  }

  /** Hear open turns again from their first event: the page has been cleared. */
  rewind() {
    for (const entry of this.#turns.values()) if (entry.open) Object.assign(entry, { last: 0, gap: null });
  }
}
