/** Messages that the gateway has not acknowledged yet; they outlive a reload of the page, not the tab. */

export class Outbox {
  #key;
  #messages; // [{id, content, conversation, whenBusy?, model?, files?: [{id, name}],
  // filesOf?: {turn, names}}]

  /** `storage` is a Storage; messages of another user in it are never seen. */
  constructor(storage, userId) {
    this.storage = storage;
    this.#key = `dexorder.outbox.${userId}`;
    this.#messages = JSON.parse(storage.getItem(this.#key) ?? "[]");
  }

  /** All, oldest first. */
  get messages() {
    return [...this.#messages];
  }

  add(message) {
    this.#messages.push(message);
    this.#save();
  }

  /** Take out and return the message with this id; undefined when there is none. */
  settle(id) {
    const message = this.#messages.find((candidate) => candidate.id === id);
    if (message) {
      this.#messages = this.#messages.filter((candidate) => candidate !== message);
      this.#save();
    }
    return message;
  }

  #save() {
    this.storage.setItem(this.#key, JSON.stringify(this.#messages));
  }
}
