/** Buttons that copy what they stand beside. */

const THANKS_MS = 1500;

const SOURCES = {
  code: (button) => button.closest(".code").querySelector("code").textContent,
  answer: (button) => {
    const texts = button.closest(".answer").querySelectorAll(".text");
    return Array.from(texts, (node) => node.innerText).join("\n\n");
  },
};

/** Serve every `[data-copy]` button inside `root`, those still to come included. */
export function copyButtons(root) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
}

async function copy(button) {
  // Without TLS, on any host but this machine, a browser offers no clipboard.
  if (!navigator.clipboard) return;
  await navigator.clipboard.writeText(SOURCES[button.dataset.copy](button));
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, THANKS_MS);
}
