/** What waits for the user in any conversation, as the events of its turns tell. */

const LAST_EVENTS = new Set(["done", "failed", "cancelled"]);

export class Waits {
  #open = new Map(); // id -> {kind, turn, conversation}
  #settled = new Set(); // a conversation that is opened tells all of its open turns once more

  /** Take in an event; whether something waits now that did not, or no more. */
  hear(frame) {
    if (frame.type === "approval" || frame.type === "question") return this.#add(frame.type, frame);
    if (frame.type === "approval_settled") return this.#settle([frame.approval]);
    if (frame.type === "question_settled") return this.#settle([frame.question]);
    return LAST_EVENTS.has(frame.type) && this.ended(frame.turn);
  }

  /** The turn is over, wherever that was learnt; whether anything of it had waited. */
  ended(turn) {
    return this.#settle([...this.#open].filter(([, wait]) => wait.turn === turn).map(([id]) => id));
  }

  /** How much waits where: a Map of conversation -> {approval, question}, the one that has waited longest first. */
  counts() {
    const found = new Map();
    for (const { kind, conversation } of this.#open.values()) {
      const count = found.get(conversation) ?? { approval: 0, question: 0 };
      count[kind] += 1;
      found.set(conversation, count);
    }
    return found;
  }

  #add(kind, frame) {
    const id = frame[kind];
    if (this.#open.has(id) || this.#settled.has(id)) return false;
    this.#open.set(id, { kind, turn: frame.turn, conversation: frame.conversation });
    return true;
  }

  #settle(ids) {
    for (const id of ids) this.#settled.add(id);
    return ids.filter((id) => this.#open.delete(id)).length > 0;
  }
}
