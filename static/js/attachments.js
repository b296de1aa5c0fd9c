/** Files for the next message: chosen, dropped or pasted, uploaded at once, and shown until it is sent. */

import { el, icon } from "./dom.js";
import { remove, RequestError, upload } from "./http.js";
import { clean } from "./text.js";
import { t } from "./words.js";

// The gateway takes no more.
const MOST_FILES = 10;
const MOST_BYTES = 3_000_000;

export class Attachments {
  #files = []; // [{name, id: null until it is uploaded, node}]

  /** parts: button, input, list, field (elements). options: url, onChange(), onProblem(text). */
  constructor(parts, options) {
    Object.assign(this, parts, options);
    this.button.addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => this.#chosen());
    this.field.addEventListener("paste", (event) => this.#brought(event, event.clipboardData));
    for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => this.#hover(event));
    addEventListener("dragleave", (event) => event.relatedTarget ?? this.#over(false));
    addEventListener("drop", (event) => {
      this.#over(false);
      this.#brought(event, event.dataTransfer);
    });
    this.button.disabled = false;
  }

  get empty() {
    return this.#files.length === 0;
  }

  /** Whether a file is still on its way. */
  get busy() {
    return this.#files.some(({ id }) => id === null);
  }

  /** The files, as [{id, name}], which now belong to a message. */
  take() {
    const taken = this.#files.map(({ id, name }) => ({ id, name }));
    this.#files = [];
    this.#show();
    return taken;
  }

  close() {
    this.button.disabled = true;
  }

  #chosen() {
    this.#add([...this.input.files]);
    // The same file can be chosen again.
    this.input.value = "";
  }

  #brought(event, { files }) {
    if (!files.length) return;
    event.preventDefault();
    this.#add([...files]);
  }

  #hover(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#over(true);
  }

  #over(yes) {
    document.body.toggleAttribute("data-dropping", yes && !this.button.disabled);
  }

  #add(files) {
    if (this.button.disabled) return;
    for (const file of files) {
      if (this.#files.length === MOST_FILES) {
        this.onProblem(t("A message takes {count} files.", { count: MOST_FILES }));
        return;
      }
      if (file.size > MOST_BYTES) this.onProblem(t("{name} is larger than 3 MB.", { name: clean(file.name) }));
      else this.#send(file);
    }
  }

  async #send(file) {
    const entry = { name: file.name, id: null, node: this.#chip(file.name, () => this.#drop(entry)) };
    this.#files.push(entry);
    this.#show();
    try {
      const made = await upload(this.url, file);
      entry.id = made.id;
      entry.name = made.name;
      entry.node.removeAttribute("aria-busy");
      // It was taken away while it was on its way.
      if (!this.#files.includes(entry)) this.#forget(made.id);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#files = this.#files.filter((each) => each !== entry);
      this.onProblem(`${clean(file.name)}: ${error.message}`);
    }
    this.#show();
  }

  #drop(entry) {
    const place = this.#files.indexOf(entry);
    this.#files = this.#files.filter((each) => each !== entry);
    if (entry.id) this.#forget(entry.id);
    this.#show();
    (this.#files[Math.min(place, this.#files.length - 1)]?.node.querySelector("button") ?? this.button).focus();
  }

  /** One that can't be erased now the gateway erases by itself. */
  async #forget(id) {
    try {
      await remove(`${this.url}/${id}`);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
    }
  }

  #chip(name, drop) {
    const label = clean(name);
    const words = t("Remove {name}", { name: label });
    const button = el("button", { type: "button", "aria-label": words, onclick: drop }, icon("close"));
    return el("li", { "aria-busy": "true" }, icon("clip"), el("span", { dir: "auto" }, label), button);
  }

  #show() {
    this.list.replaceChildren(...this.#files.map(({ node }) => node));
    this.list.hidden = this.empty;
    this.onChange();
  }
}
