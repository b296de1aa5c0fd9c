/** A line that tells everybody what went wrong, or how something went. */

import { RequestError } from "./http.js";
import { clean } from "./text.js";
import { t } from "./words.js";

export class Note {
  constructor(box) {
    this.box = box;
  }

  hide() {
    this.box.hidden = true;
  }

  tell(text, kind = "info") {
    this.box.dataset.kind = kind;
    this.box.textContent = clean(text);
    this.box.hidden = false;
  }

  /** Why a request was not served. Any other error is thrown again. */
  complain(error) {
    if (!(error instanceof RequestError)) throw error;
    const again = error.kind === "signed_out" ? " " + t("Reload the page to sign in again.") : "";
    this.tell(error.message + again, "error");
  }
}
