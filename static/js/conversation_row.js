/** A conversation in the list: a link to it, and ways to rename and to delete it in its place. */

import { dateOf, timeOf } from "./clock.js";
import { el, icon } from "./dom.js";
import { clean } from "./text.js";
import { t } from "./words.js";

export const LONGEST_TITLE = 120;

/** What a conversation is called. */
export function titleOf({ title, alias }) {
  return clean(title) || (alias === "main" ? t("Main conversation") : t("New conversation"));
}

export class ConversationRow {
  #link = el("a", { class: "talk-link" });
  #item;
  #editing = false;

  /** actions: rename(id, title) and remove(id), each a promise of the reason why not, or "". */
  constructor(item, actions) {
    this.actions = actions;
    this.node = el("li", { class: "talk" });
    this.#item = item;
    this.#rest();
  }

  /** Show what is known now; `current`: it is the one that is read, `state`: "busy" while it is being answered,
   * "waiting" when something in it waits for the user. */
  show(item, { current, state }) {
    this.#item = item;
    this.node.classList.toggle("current", current);
    if (current) this.#link.setAttribute("aria-current", "page");
    else this.#link.removeAttribute("aria-current");
    const used = new Date(item.updated_at);
    const today = used.toDateString() === new Date().toDateString();
    const facts = [item.alias === "main" && t("Main"), today ? timeOf(used) : dateOf(used)].filter(Boolean);
    const sign = {
      busy: () => [el("span", { class: "talk-busy", role: "img", "aria-label": t("being answered") })],
      waiting: () => [el("span", { class: "talk-waiting" }), el("strong", {}, t("waits for you")), "· "],
    }[state]?.() ?? [];
    this.#link.href = item.alias === "main" ? "#" : `#c-${item.id}`;
    this.#link.replaceChildren(
      el("span", { class: "talk-title", dir: "auto" }, titleOf(item)),
      el("span", { class: "talk-facts" }, ...sign, facts.join(" · ")),
    );
    if (!this.#editing) this.#label();
  }

  #rest({ focus = "" } = {}) {
    this.#editing = false;
    const button = (kind, sign, act) =>
      el("button", { type: "button", class: `quiet talk-${kind}`, onclick: act }, icon(sign));
    const edit = button("rename", "new", () => this.#rename());
    const remove = button("delete", "bin", () => this.#doubleCheck());
    this.node.replaceChildren(this.#link, el("div", { class: "talk-ways" }, edit, remove));
    this.#label();
    if (focus) this.node.querySelector(focus).focus();
  }

  #label() {
    const title = titleOf(this.#item);
    const labels = {
      ".talk-rename": t("Rename “{title}”", { title }),
      ".talk-delete": t("Delete “{title}”", { title }),
    };
    for (const [place, words] of Object.entries(labels)) {
      const button = this.node.querySelector(place);
      button?.setAttribute("aria-label", words);
      button?.setAttribute("title", words);
    }
  }

  #rename() {
    const attributes = { class: "talk-name", maxlength: LONGEST_TITLE, "aria-label": t("Title"), dir: "auto" };
    const input = el("input", { ...attributes, value: clean(this.#item.title) });
    const submit = async (event) => {
      event.preventDefault();
      const title = input.value.trim();
      const rename = () => this.actions.rename(this.#item.id, title);
      if (title && title !== this.#item.title) await this.#do(rename, ".talk-rename");
      else this.#rest({ focus: ".talk-rename" });
    };
    const label = t("Save the title");
    const save = el("button", { class: "quiet", "aria-label": label, title: label }, icon("check"));
    this.#ask(el("form", { class: "talk-form", onsubmit: submit }, input, save), ".talk-rename");
    input.select();
  }

  #doubleCheck() {
    const go = () => this.#do(() => this.actions.remove(this.#item.id), ".talk-delete");
    const stay = () => this.#rest({ focus: ".talk-delete" });
    const words = t("Delete “{title}” and its messages for good?", { title: titleOf(this.#item) });
    const yes = el("button", { type: "button", class: "button small bad", onclick: go }, t("Delete"));
    const no = el("button", { type: "button", class: "button small", onclick: stay }, t("Keep"));
    const box = { class: "talk-check", role: "group", "aria-label": words };
    this.#ask(el("div", box, el("p", {}, words), yes, no), ".talk-delete");
    no.focus();
  }

  #ask(node, back) {
    this.#editing = true;
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#rest({ focus: back });
    });
    this.node.replaceChildren(node);
  }

  /** Nothing else can be pressed until it is done; what went wrong is told in the row's place. */
  async #do(action, back) {
    for (const control of this.node.querySelectorAll("button, input")) control.disabled = true;
    const reason = await action();
    if (!this.node.isConnected) return;
    this.#rest({ focus: back });
    if (reason) this.node.append(el("p", { class: "talk-note", role: "alert" }, reason));
  }
}
