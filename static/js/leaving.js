/** A sign-out in one tab takes the talk off the screen in all tabs of the browser. */

const SIGNED_OUT_URL = "/signed-out/";
// When somebody last signed out in this browser, in milliseconds since 1970.
const MARK = "dexorder.signedOut";
const KEPT = "dexorder.";

/** Tell the other tabs, and forget what this one kept of its user. */
export function tellSignOut() {
  forget();
  localStorage.setItem(MARK, String(Date.now()));
}

/** Leave this page for the one that says so, whose server knows whether somebody else has signed in meanwhile. */
export function leave() {
  forget();
  document.body.hidden = true;
  location.replace(SIGNED_OUT_URL);
}

/** Leave when another tab signs out; a page that the browser kept for "back" is asked for anew. */
export function leaveWithOthers() {
  addEventListener("storage", ({ key }) => key === MARK && leave());
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}

/** Whether a tab has signed out since this page was loaded: one that slept heard nothing of it. */
export function wasSignedOut() {
  return Number(localStorage.getItem(MARK)) > performance.timeOrigin;
}

/** Drafts, and messages that were not sent. */
function forget() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(KEPT)) sessionStorage.removeItem(key);
}
