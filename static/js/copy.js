/** Buttons that copy what they stand beside. */

import { el, icon } from "./dom.js";

const THANKS_MS = 1500;

/** A button that copies what `read()` gives when it is pressed. */
export function copyButton(label, read) {
  const copy = async () => {
    // Without TLS, on any host but this machine, a browser offers no clipboard.
    if (!navigator.clipboard) return;
    await navigator.clipboard.writeText(read());
    button.dataset.copied = "";
    setTimeout(() => delete button.dataset.copied, THANKS_MS);
  };
  const button = el("button", { type: "button", class: "copy", "aria-label": label, onclick: copy }, icon("copy"));
  return button;
}
