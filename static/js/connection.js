/**
 * The socket to the gateway, which comes back by itself.
 *
 * `onPhase(phase, detail)` hears: "connecting" · "open" (a socket; the server has not spoken yet) · "waiting"
 * ({seconds} to the next try) · "offline" · and, for good, "signed_out" ({told}: by the server) and
 * "refused" ({message}).
 */

import { backoff } from "./backoff.js";
import { post, RequestError } from "./http.js";

const PROTOCOL = "dexorder.v1";
const OPEN_PATIENCE_MS = 10_000;
// The server pings each 20 s on a level that scripts cannot see; these pings show the page a dead line.
const PING_EVERY_MS = 20_000;
const SILENCE_MS = 45_000;
const PROBE_MS = 5_000;
// A browser that says it is offline is mostly right: only a gateway on the same machine, or behind a VPN, still answers.
const PROBE_OFFLINE_MS = 500;

const CLOSED_UNAUTHORISED = 4401;
// The reason of a 4401 that no new ticket would change (docs/protocol.md).
const SIGNED_OUT = "You have signed out.";
const CLOSED_FORBIDDEN = 4403;
// Milliseconds to stay away at least, by close code: flooding, and "try later".
const LEAST_WAIT_MS = { 4429: 15_000, 1013: 5_000 };

export class Connection {
  #options;
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #pulse = 0;
  #heardAt = 0;
  #ended = false;

  /** options: wsPath, ticketUrl, onFrame(frame), onPhase(phase, detail). */
  constructor(options) {
    this.#options = options;
  }

  start() {
    addEventListener("online", () => this.#retryNow());
    addEventListener("offline", () => this.#unplugged());
    document.addEventListener("visibilitychange", () => this.#whenSeen());
    this.#connect();
  }

  /** Send a frame; false when there is no open socket. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** The server has greeted: the next loss is a first one again. */
  settled() {
    this.#attempt = 0;
  }

  #phase(phase, detail = {}) {
    this.#options.onPhase(phase, detail);
  }

  async #connect() {
    if (this.#ended || this.#socket) return;
    clearTimeout(this.#timer);
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#phase("connecting");
    try {
      const { ticket } = await post(this.#options.ticketUrl);
      if (attempt === this.#attempt && !this.#socket) this.#open(ticket);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (attempt === this.#attempt) this.#unserved(error);
    }
  }

  #unserved(error) {
    if (error.kind === "later") return this.#wait(error.retryAfterS * 1000);
    return this.#end(error.kind, { message: error.message });
  }

  #open(ticket) {
    const url = new URL(this.#options.wsPath, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, [PROTOCOL, `dexorder.ticket.${ticket}`]);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lose({ code: 0 }), OPEN_PATIENCE_MS);
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#heard(event.data);
    socket.onclose = (event) => this.#lose(event);
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#heardAt = performance.now();
    this.#pulse = setInterval(() => this.#beat(), PING_EVERY_MS);
    this.#phase("open");
  }

  #heard(data) {
    this.#heardAt = performance.now();
    this.#options.onFrame(JSON.parse(data));
  }

  #beat() {
    if (performance.now() - this.#heardAt > SILENCE_MS) this.#lose({ code: 0 });
    else this.send({ type: "ping" });
  }

  /** The socket is gone, or as good as gone: a close on a dead line would report itself minutes later. */
  #lose({ code, reason = "" }) {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      this.#socket = null;
    }
    if (this.#ended) return;
    if (code === CLOSED_FORBIDDEN) this.#end("refused");
    else if (code === CLOSED_UNAUTHORISED && reason === SIGNED_OUT) this.#end("signed_out", { told: true });
    else this.#wait(LEAST_WAIT_MS[code] ?? 0, code);
  }

  #wait(least, code = 0) {
    // A refused ticket has only grown old: the next one is fetched without delay, once.
    const soon = code === CLOSED_UNAUTHORISED && this.#attempt <= 1;
    const delay = soon ? 0 : backoff(Math.max(1, this.#attempt), { least });
    clearTimeout(this.#timer);
    // Tries go on while the browser calls itself offline: a gateway on the same machine needs no network.
    this.#phase(navigator.onLine ? "waiting" : "offline", { seconds: Math.ceil(delay / 1000) });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #end(phase, detail = {}) {
    this.#ended = true;
    this.#phase(phase, detail);
  }

  #retryNow() {
    if (!this.#socket) this.#connect();
  }

  #whenSeen() {
    if (document.visibilityState !== "visible") return;
    if (this.#socket) this.#probe();
    else this.#retryNow();
  }

  #unplugged() {
    if (this.#socket) this.#probe(PROBE_OFFLINE_MS);
    else if (!this.#ended) this.#phase("offline");
  }

  /** Ask whether the line still lives: after a sleep, or when the network changed. */
  #probe(patience = PROBE_MS) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const asked = performance.now();
    this.send({ type: "ping" });
    setTimeout(() => {
      if (this.#socket && this.#heardAt < asked) this.#lose({ code: 0 });
    }, patience);
  }
}
