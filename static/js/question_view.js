/** The user's words of a turn, and a way to say them otherwise: as a new message, since what was said stays said. */

import { label } from "./channels.js";
import { el, icon } from "./dom.js";
import { clean } from "./text.js";
import { t } from "./words.js";

export class QuestionView {
  #bubble = el("div", { class: "question", dir: "auto" });
  #files = el("ul", { class: "files", hidden: true, "aria-label": t("Attached files") });
  #badge = el("div", { class: "question-note" });
  #edit = editButton();
  #words = "";
  #names = [];

  /** say(content) sends a new message; why not, or "". */
  constructor(say) {
    this.say = say;
    this.#edit.addEventListener("click", () => this.#rewrite());
    const heading = el("h2", { class: "hidden-text" }, t("Your message"));
    this.node = el("div", { class: "asked", hidden: true }, heading, this.#bubble, this.#files, this.#edit, this.#badge);
  }

  /** What was asked; "" while nothing is known. */
  get words() {
    return this.#words;
  }

  /** The names of the files that came with it. */
  get files() {
    return this.#names;
  }

  show({ content, channel, attachments = [] }) {
    this.#words = content;
    this.node.hidden = false;
    this.#bubble.textContent = clean(content);
    this.attach(attachments);
    this.note(channel === "web" ? "" : t("from {channel}", { channel: label(channel) }));
  }

  attach(names) {
    this.#names = names;
    const named = names.map((name) => el("li", {}, icon("clip"), el("span", { dir: "auto" }, clean(name))));
    this.#files.replaceChildren(...named);
    this.#files.hidden = names.length === 0;
  }

  note(text) {
    this.#badge.textContent = text;
  }

  #rewrite() {
    const input = el("textarea", { rows: "3", "aria-label": t("Your message, edited") });
    input.value = this.#words;
    const problem = el("p", { class: "ask-note", role: "alert" });
    const close = () => {
      form.replaceWith(this.#bubble);
      this.#edit.hidden = false;
      this.#edit.focus();
    };
    const submit = (event) => {
      event.preventDefault();
      const content = input.value.toWellFormed().replaceAll("\0", "").trim();
      problem.textContent = content ? this.say(content) : t("Write something first.");
      if (!problem.textContent) close();
    };
    const key = (event) => {
      if (event.key === "Escape") close();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      form.requestSubmit();
    };
    const ways = [
      el("button", { class: "button small" }, t("Send as a new message")),
      el("button", { type: "button", class: "button small", onclick: close }, t("Cancel")),
    ];
    const events = { onsubmit: submit, onkeydown: key };
    const form = el("form", { class: "rewrite", ...events }, input, problem, el("div", { class: "ways" }, ...ways));
    this.#bubble.replaceWith(form);
    this.#edit.hidden = true;
    input.focus();
  }
}

function editButton() {
  const label = t("Edit and send again");
  return el("button", { type: "button", class: "copy edit", "aria-label": label, title: label }, icon("new"));
}
