/** The list of conversations, the last used first: which are shown, which is read, which are being answered. */

import { ConversationRow, titleOf } from "./conversation_row.js";
import { showKeyed } from "./keyed.js";
import { counted, t } from "./words.js";

export class ConversationList {
  #rows = new Map(); // id -> ConversationRow
  #items = [];
  #current = null;
  #busy = new Set();
  #waiting = new Set();

  /** parts: list (a <ul>), note (a status line), more (a button). actions: rename and remove, as of a ConversationRow,
   * and more(). */
  constructor(parts, actions) {
    Object.assign(this, parts, { actions });
    this.more.addEventListener("click", () => actions.more());
  }

  /** Show `items`; `more`: there are others after them, `sought`: only those that match a search. */
  show(items, { more, sought }) {
    this.#items = items;
    this.more.hidden = !more;
    const found = counted("{count} conversation found", "{count} conversations found", items.length);
    const said = items.length ? found : t("No title matches.");
    this.note.textContent = sought ? said : "";
    this.#draw();
  }

  /** Why the list is not what it should be. */
  failed(reason) {
    this.note.textContent = reason;
  }

  /** `conversation` is the one that is read. */
  reading(conversation) {
    this.#current = conversation;
    this.#draw();
  }

  /** These conversations are being answered. */
  busy(conversations) {
    const same = conversations.size === this.#busy.size && [...conversations].every((each) => this.#busy.has(each));
    this.#busy = conversations;
    if (!same) this.#draw();
  }

  /** In these conversations something waits for the user. */
  waiting(conversations) {
    this.#waiting = conversations;
    this.#draw();
  }

  #draw() {
    showKeyed(this.list, this.#items, { key: ({ id }) => id, make: (item) => this.#make(item) });
    for (const item of this.#items) {
      const state = this.#waiting.has(item.id) ? "waiting" : this.#busy.has(item.id) ? "busy" : "";
      this.#rows.get(item.id).show(item, { current: item.id === this.#current, state });
    }
    const ids = new Set(this.#items.map(({ id }) => id));
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#rows.delete(id);
    const read = this.#items.find(({ id }) => id === this.#current);
    document.title = read && read.alias !== "main" ? `${titleOf(read)} – Dexorder` : t("Dexorder chat");
  }

  #make(item) {
    const row = new ConversationRow(item, this.actions);
    this.#rows.set(item.id, row);
    return row.node;
  }
}
