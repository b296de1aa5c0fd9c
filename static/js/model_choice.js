/** Which model answers the next messages: the gateway's choice, or one that the user has picked in this browser. */

import { el } from "./dom.js";
import { get, RequestError } from "./http.js";
import { clean } from "./text.js";
import { t } from "./words.js";

export class ModelChoice {
  #models = [];
  #greeting = {}; // of which the models are known

  /** parts: box, select. options: url of the models, storage, key. */
  constructor(parts, options) {
    Object.assign(this, parts, options);
    this.select.addEventListener("change", () => this.storage.setItem(this.key, this.select.value));
  }

  /** The model to ask for, "" for the gateway's choice. */
  get value() {
    return this.box.hidden ? "" : this.select.value;
  }

  /** The page is greeted: `model` is what the gateway would choose now. */
  async greeted({ model, licence }) {
    if (this.#greeting.model === model && this.#greeting.licence === licence) return;
    this.#greeting = { model, licence };
    try {
      this.#models = (await get(this.url)).models.map(({ id }) => id);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // those known before stay
    }
    this.#show();
  }

  #show() {
    const wanted = this.storage.getItem(this.key) ?? "";
    const name = clean(this.#greeting.model);
    const options = [["", name ? t("Automatic: {model}", { model: name }) : t("Automatic")]];
    options.push(...this.#models.map((id) => [id, clean(id)]));
    this.select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
    this.select.value = this.#models.includes(wanted) ? wanted : "";
    this.box.hidden = this.#models.length === 0;
  }
}
