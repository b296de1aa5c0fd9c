/** Keeps the newest text in sight, unless the user has scrolled up to read. */

// Within this of the end counts as being there: a line of text.
const NEAR_PX = 48;

export class Scroller {
  #follows = true;
  #top = 0;

  /** `box` scrolls, `content` grows in it, `button` leads back to the end. */
  constructor({ box, content, button }) {
    Object.assign(this, { box, content, button });
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    content.addEventListener("click", (event) => this.#unfolded(event), true);
    new ResizeObserver(() => this.#follow()).observe(content);
    new ResizeObserver(() => this.#follow()).observe(box);
  }

  toEnd() {
    this.#follows = true;
    this.#follow();
  }

  /** Do what changes the content above without moving what is read. */
  keep(change) {
    const below = this.box.scrollHeight - this.box.scrollTop;
    change();
    if (this.#follows) this.#follow();
    else this.box.scrollTop = this.box.scrollHeight - below;
  }

  #follow() {
    if (this.#follows) this.box.scrollTop = this.box.scrollHeight;
    else this.#follows = this.#distance() < 1;
    this.#show();
  }

  /** Who opens something wants to read it: it stays where it is. */
  #unfolded(event) {
    if (event.target.closest("summary")) this.#follows = false;
  }

  /** Only who goes up stops following: a picture that grows between our own scrolling and its event is no going up. */
  #scrolled() {
    const near = this.#distance() < NEAR_PX;
    this.#follows = this.box.scrollTop < this.#top ? near : this.#follows || near;
    this.#top = this.box.scrollTop;
    this.#show();
  }

  #distance() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
  }

  #show() {
    this.button.hidden = this.#follows || this.#distance() < NEAR_PX;
  }
}
