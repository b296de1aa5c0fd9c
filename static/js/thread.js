/** The conversation on the page: its turns in order, what is still to be sent, and older parts on demand. */

import { TurnView } from "./turn_view.js";
import { clean, shorten } from "./text.js";
import { t } from "./words.js";

// A screen reader gets the whole of an ordinary answer and the beginning of a very long one.
const LONGEST_SPOKEN = 2000;

export class Thread {
  #turns = new Map(); // turn -> TurnView
  #pending = new Map(); // message id -> TurnView
  #seeking = false; // what waits is to get the focus once it is shown
  #before = undefined; // cursor of the older part; undefined = nothing is known, null = nothing is older

  /** parts: list, empty, older, loading, spoken (elements), scroller. actions: say, cancel, decide, earlier(before). */
  constructor(parts, actions) {
    Object.assign(this, parts);
    this.actions = actions;
    this.older.addEventListener("click", () => actions.earlier(this.#before));
  }

  has(turn) {
    return this.#turns.has(turn);
  }

  clear() {
    this.#turns.clear();
    this.#pending.clear();
    this.#before = undefined;
    this.list.replaceChildren();
    this.older.hidden = true;
    this.#refresh();
  }

  connected(yes) {
    this.#pending.forEach((view) => view.sending(yes));
    if (!yes) this.loading.hidden = true;
    if (!yes) this.#turns.forEach((view) => view.offline());
  }

  /** Somebody goes to what waits for them in the conversation that is shown next: the focus goes along. */
  seek() {
    this.#seeking = true;
    this.scroller.box.focus();
  }

  setLoading(yes) {
    this.loading.hidden = !yes;
    this.older.disabled = yes;
  }

  /** Offer to ask again when nothing could be loaded. */
  historyFailed() {
    this.setLoading(false);
    this.#offerOlder(t("Load the conversation"), this.#before !== null);
  }

  addPending({ id, content, files = [], filesOf = null }, connected) {
    if (this.#pending.has(id)) return;
    this.#seeking = false;
    const view = this.#make();
    const attachments = filesOf?.names ?? files.map(({ name }) => name);
    view.ask({ content, channel: "web", attachments }, filesOf ? { filesOf } : { takeFiles: () => files });
    view.sending(connected);
    this.#pending.set(id, view);
    this.list.append(view.node);
    this.scroller.toEnd();
    this.#refresh();
  }

  /** Message `id` is `turn`. Its events may have come first, then the waiting copy goes. */
  bind(id, turn, position) {
    const view = this.#pending.get(id);
    this.#pending.delete(id);
    if (!view) return;
    if (this.#turns.has(turn)) {
      view.node.remove();
      return;
    }
    this.#place(turn, view);
    view.accept(turn, position);
  }

  refuse(id, error) {
    const view = this.#pending.get(id);
    this.#pending.delete(id);
    if (!view) return;
    // It never becomes a turn: it stays after the one before it.
    view.node.dataset.turn = `${view.node.previousElementSibling?.dataset.turn ?? ""}+`;
    view.refuse(error);
  }

  /** A decision or answer was refused; whether one of the turns shown had asked for it. */
  refuseWait(id, error) {
    return [...this.#turns.values()].some((view) => view.refuseWait(id, error));
  }

  remove(turn) {
    this.#turns.get(turn)?.node.remove();
    this.#turns.delete(turn);
    this.#refresh();
  }

  stopping(turn) {
    this.#turns.get(turn)?.stopping();
  }

  apply(frame) {
    const view = this.#turns.get(frame.turn) ?? this.#begin(frame.turn);
    const settled = view.settled;
    view.apply(frame);
    const asked = spokenAsking(frame);
    if (asked) this.spoken.textContent = asked;
    if (asked && this.#seeking) this.#found(view);
    if (view.settled && !settled) this.spoken.textContent = this.#spokenOutcome(view, frame);
  }

  /** Show finished turns. `older`: they stand before what is shown, whose first turn may have been cut in two. */
  addHistory(turns, { before, older }) {
    this.setLoading(false);
    if (older || this.#before === undefined) this.#before = before;
    this.scroller.keep(() => turns.forEach((turn) => this.#restore(turn, older)));
    this.#offerOlder(t("Show earlier messages"), Boolean(this.#before));
    this.#refresh();
  }

  #offerOlder(label, shown) {
    this.older.textContent = label;
    this.older.hidden = !shown;
  }

  #restore(turn, replace) {
    const known = this.#turns.get(turn.turn);
    if (known && !(replace && known.stored)) return;
    const view = this.#make();
    known?.node.remove();
    view.stored = true;
    this.#place(turn.turn, view);
    view.restore(turn);
  }

  #begin(turn) {
    const view = this.#make();
    this.#place(turn, view);
    view.accept(turn, 0);
    this.#refresh();
    return view;
  }

  #make() {
    return new TurnView(this.actions);
  }

  /** Turn ids are UUIDv7 and sort by time; messages without a turn stay last. */
  #place(turn, view) {
    this.#turns.set(turn, view);
    view.turn = turn;
    view.node.dataset.turn = turn;
    const isLater = (node) => node !== view.node && (node.dataset.turn ?? "~") > turn;
    const next = Array.from(this.list.children).find(isLater);
    if (next) next.before(view.node);
    else if (view.node !== this.list.lastElementChild) this.list.append(view.node);
  }

  #found(view) {
    this.#seeking = false;
    view.node.querySelector(".wait[data-state=pending] h3")?.focus();
  }

  #spokenOutcome(view, frame) {
    if (frame.type === "done") return shorten(view.text, LONGEST_SPOKEN);
    return frame.type === "cancelled" ? t("The answer was stopped.") : "";
  }

  /** The welcome is for a conversation that is known to be empty. */
  #refresh() {
    this.empty.hidden = this.list.hasChildNodes() || this.#before === undefined;
  }
}

/** What of the user is wanted, as a screen reader says it; "" when nothing is. */
function spokenAsking({ type, title, text }) {
  if (type === "approval") return t("Your approval is needed: {title}", { title: clean(title) });
  return type === "question" ? t("The agent asks: {text}", { text: clean(text) }) : "";
}
