/** The notice above the message field: what waits for the user in conversations that are not shown. */

import { titleOf } from "./conversation_row.js";
import { el, icon } from "./dom.js";
import { shorten } from "./text.js";
import { counted, t } from "./words.js";

// As many as a phone has room for above the keyboard.
const MOST_SHOWN = 2;
const LONGEST_NAME = 60;

export class Elsewhere {
  #names = null; // conversation -> its title; null until the list was read, or could not be
  #counts = new Map();
  #current = null;
  #said = "";

  /** parts: box, spoken (a live region). */
  constructor(parts) {
    Object.assign(this, parts);
  }

  /** The conversations of the list, whose titles are said. One that a search hides keeps the title that was known. */
  show(items) {
    this.#names ??= new Map();
    for (const item of items) this.#names.set(item.id, titleOf(item));
    this.#draw();
  }

  /** The list could not be read: what waits is said without a title. */
  failed() {
    this.show([]);
  }

  /** `conversation` is the one that is read: what waits in it is seen. */
  reading(conversation) {
    this.#current = conversation;
    this.#draw();
  }

  /** What waits, as Waits counts it. */
  waiting(counts) {
    this.#counts = counts;
    this.#draw();
  }

  #draw() {
    if (!this.#names) return;
    const others = [...this.#counts].filter(([conversation]) => conversation !== this.#current);
    const lines = others.slice(0, MOST_SHOWN).map(([conversation, count]) => [conversation, this.#line(conversation, count)]);
    const more = others.length - MOST_SHOWN;
    if (more > 0) {
      const words = counted("Something waits in {count} more conversation", "Something waits in {count} more conversations", more);
      lines.push([others[MOST_SHOWN][0], words]);
    }
    const said = lines.map(([, words]) => words).join(". ");
    if (said === this.#said) return;
    this.box.replaceChildren(...lines.map(([conversation, words]) => link(conversation, words)));
    this.box.hidden = !lines.length;
    // What has become less was settled by the user.
    if (said && !this.#said.includes(said)) this.spoken.textContent = said;
    this.#said = said;
  }

  #line(conversation, { approval, question }) {
    const name = this.#names.get(conversation);
    if (!name) return t("Something waits in another conversation");
    const title = shorten(name, LONGEST_NAME);
    if (!question) return counted("{count} approval waits in “{title}”", "{count} approvals wait in “{title}”", approval, { title });
    if (!approval) return counted("{count} question waits in “{title}”", "{count} questions wait in “{title}”", question, { title });
    return t("Approvals and questions wait in “{title}”", { title });
  }
}

function link(conversation, words) {
  const label = el("span", { dir: "auto" }, words);
  return el("a", { class: "elsewhere-link", href: `#c-${conversation}` }, icon("person"), label, icon("right"));
}
