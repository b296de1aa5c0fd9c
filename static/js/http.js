/** Requests to the gateway's REST interface from the signed-in page. */

import { t } from "./words.js";

const PATIENCE_MS = 10_000;
// A phone sends 50 KB a second where the network is bad.
const UPLOAD_PATIENCE_MS = 60_000;

/** Why a request was not served. `kind`: "signed_out", "refused" (again is no use) or "later" (after `retryAfterS`). */
export class RequestError extends Error {
  constructor(kind, message, retryAfterS = 0, options = {}) {
    super(message, options);
    Object.assign(this, { kind, retryAfterS });
  }
}

/** GET; the answer's JSON. Throws RequestError. */
export function get(url) {
  return request("GET", url);
}

/** POST `body` with the page's session and CSRF token; the answer's JSON or null. Throws RequestError. */
export function post(url, body = {}) {
  return request("POST", url, JSON.stringify(body));
}

/** PATCH, likewise. */
export function patch(url, body) {
  return request("PATCH", url, JSON.stringify(body));
}

/** POST a File as the form field `file`; the answer's JSON. Throws RequestError. */
export function upload(url, file) {
  const form = new FormData();
  form.append("file", file);
  return request("POST", url, form, UPLOAD_PATIENCE_MS);
}

/** DELETE. Throws RequestError. */
export function remove(url) {
  return request("DELETE", url);
}

async function request(method, url, body, patience = PATIENCE_MS) {
  const { answer, said } = await send(method, url, body, patience);
  if (answer.ok) return said;
  if (answer.status === 401) throw new RequestError("signed_out", t("Your session has ended."));
  const retryAfterS = Number(answer.headers.get("Retry-After")) || 0;
  if (answer.status === 429 || answer.status >= 500) throw new RequestError("later", reason(said), retryAfterS);
  throw new RequestError("refused", reason(said));
}

/** The answer and its JSON, null for what is none. An answer that breaks off within its body is no answer. */
async function send(method, url, body, patience) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  if (typeof body === "string") headers["Content-Type"] = "application/json";
  const signal = AbortSignal.timeout(patience);
  try {
    const answer = await fetch(url, { method, headers, body, signal });
    const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
    return { answer, said: isJson ? await answer.json() : null };
  } catch (error) {
    throw new RequestError("later", t("The server does not answer."), 0, { cause: error });
  }
}

function reason(said) {
  const message = said?.error?.message;
  return message ? t(message) : t("The server did not accept this page. Reload it to try again.");
}

/** The cookie's token, which another tab may have renewed, or the one the page came with. */
export function csrfToken() {
  const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie);
  return cookie ? decodeURIComponent(cookie[1]) : document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}
