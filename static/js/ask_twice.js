/** A button whose deed is asked about once more in its place. */

import { el } from "./dom.js";
import { t } from "./words.js";

/**
 * Offer something in `box`. `first` and `sure` are {text, label}: the button, and the one that does it then; `go` does it and
 * is a promise. When it is over and the box still stands, the first button is back.
 */
export function askTwice(box, { first, sure, go }) {
  const offer = (focus) => {
    const button = make(first, "button small", ask);
    box.replaceChildren(button);
    if (focus) button.focus();
  };
  const ask = () => {
    const yes = make(sure, "button small bad", async () => {
      yes.disabled = true;
      await go();
      if (box.isConnected) offer(true);
    });
    const no = make({ text: t("Keep") }, "button small", () => offer(true));
    box.replaceChildren(yes, no);
    no.focus();
  };
  offer(false);
}

function make({ text, label = null }, style, act) {
  return el("button", { type: "button", class: style, "aria-label": label, onclick: act }, text);
}
