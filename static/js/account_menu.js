/** A <details> that is a menu: it closes when the user goes elsewhere. */

/** Close `menu` on a click outside, on focus leaving it, and on Escape, which gives the focus back. */
export function foldAway(menu) {
  const close = (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("click", close);
  document.addEventListener("focusin", close);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
