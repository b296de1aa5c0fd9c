/** What is done with conversations: the list read and read again, searched, renamed, deleted, begun. */

import { get, patch, post, remove, RequestError } from "./http.js";

const PAGE = 30;
const MOST = 100; // as many as the gateway gives at once
const TYPING_MS = 200;
const SETTLING_MS = 400; // what happens within this is one change

export class ConversationDesk {
  #items = [];
  #next = null;
  #sought = "";
  #timer = 0;
  #asked = 0; // an answer to an earlier question is none any more

  /** url of the API's list; hooks: gone(item) when one was deleted, signedOut(). `views` are told of what
   * was read: show(items, {more, sought}), failed(reason). */
  constructor({ url, hooks }) {
    Object.assign(this, { url, hooks });
  }

  /** Something may have changed. */
  changed() {
    this.#later(SETTLING_MS);
  }

  /** Show those whose title holds `words`; all when there are none. */
  search(words) {
    this.#sought = words.trim();
    this.#later(TYPING_MS);
  }

  async more() {
    await this.#read(this.#address({ limit: PAGE, cursor: this.#next }), this.#items);
  }

  async rename(id, title) {
    return this.#try(async () => {
      const renamed = await patch(`${this.url}/${id}`, { title });
      this.#items = this.#items.map((item) => (item.id === id ? renamed : item));
      this.#show();
    });
  }

  async remove(id) {
    return this.#try(async () => {
      await remove(`${this.url}/${id}`);
      const gone = this.#items.find((item) => item.id === id);
      this.#items = this.#items.filter((item) => item !== gone);
      this.#show();
      this.hooks.gone(gone);
    });
  }

  /** The id of a conversation that nobody has used yet, made if there is none. Throws RequestError. */
  async fresh() {
    const unused = this.#items.find(({ title, alias, model }) => !title && !alias && !model);
    if (unused) return unused.id;
    const made = await post(this.url);
    this.changed();
    return made.id;
  }

  #later(delay) {
    clearTimeout(this.#timer);
    const limit = Math.min(MOST, Math.max(PAGE, this.#items.length));
    this.#timer = setTimeout(() => this.#read(this.#address({ limit }), []), delay);
  }

  #address({ limit, cursor }) {
    const query = new URLSearchParams({ limit, ...(cursor && { cursor }), ...(this.#sought && { q: this.#sought }) });
    return `${this.url}?${query}`;
  }

  async #read(address, before) {
    const asked = (this.#asked += 1);
    const reason = await this.#try(async () => {
      const page = await get(address);
      if (asked !== this.#asked) return;
      this.#items = [...before, ...page.conversations];
      this.#next = page.next;
      this.#show();
    });
    if (reason && asked === this.#asked) this.views.forEach((view) => view.failed(reason));
  }

  #show() {
    const more = this.#next !== null;
    this.views.forEach((view) => view.show(this.#items, { more, sought: this.#sought !== "" }));
  }

  /** Do `action`; why it could not be done, or "". */
  async #try(action) {
    try {
      await action();
      return "";
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.kind === "signed_out") this.hooks.signedOut();
      return error.message;
    }
  }
}
