/** The column of conversations: beside the chat where there is room, over it on a phone. */

const WIDE = matchMedia("(min-width: 60rem)");
const KEY = "dexorder.side";

export class Side {
  /** parts: side, toggle, shade, behind (what a phone can't reach while it is open). */
  constructor(parts, { storage }) {
    Object.assign(this, parts, { storage });
    this.toggle.addEventListener("click", () => this.#switch());
    this.shade.addEventListener("click", () => this.#close());
    this.side.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && !WIDE.matches) this.#close();
    });
    WIDE.addEventListener("change", () => this.#settle());
    this.#settle();
  }

  /** Something was chosen: on a phone the chat is what matters now. */
  chosen() {
    if (!WIDE.matches) this.#show(false);
  }

  #settle() {
    this.#show(WIDE.matches && this.storage.getItem(KEY) !== "closed");
  }

  #switch() {
    const open = this.toggle.getAttribute("aria-expanded") !== "true";
    this.#show(open);
    if (WIDE.matches) this.storage.setItem(KEY, open ? "open" : "closed");
    else if (open) this.side.focus();
  }

  #close() {
    this.#show(false);
    this.toggle.focus();
  }

  #show(open) {
    this.toggle.setAttribute("aria-expanded", String(open));
    document.body.dataset.side = open ? "open" : "closed";
    this.shade.hidden = !open || WIDE.matches;
    for (const node of this.behind) node.inert = open && !WIDE.matches;
  }
}
