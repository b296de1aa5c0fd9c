/**
 * What the page and the gateway say to each other (docs/protocol.md): frames in, calls to the views out.
 *
 * Knows which conversation is shown, what was sent and not yet acknowledged, and which turns to take up again after a
 * cut. Draws nothing.
 */

import { historyTurns } from "./history.js";
import { newId } from "./ids.js";
import { Ledger } from "./ledger.js";
import { Retries } from "./retries.js";
import { Waits } from "./waits.js";
import { t } from "./words.js";

// The gateway takes this many characters, and closes the socket on a frame over 64 KiB, of which the rest of the
// frame needs a little.
const LONGEST_CONTENT_CHARACTERS = 32_000;
const LONGEST_CONTENT_BYTES = 60 * 1024;
// At least, after an error that names no time.
const AGAIN_AFTER_S = 2;

export class Session {
  #handlers = {
    ready: (frame) => this.#ready(frame),
    status: (frame) => this.#status(frame),
    accepted: (frame) => this.#accepted(frame),
    history: (frame) => this.#history(frame),
    error: (frame) => this.#error(frame),
    expiring: (frame) => this.views.banner.expiring(frame.seconds),
  };
  #ledger = new Ledger();
  #waits = new Waits();
  #resumes = new Retries(); // by turn
  #cancels = new Set(); // turns to stop, until they end
  #greeted = false;
  #asked = null; // the `before` of the history that was asked for; null = nothing is awaited
  #endings = {}; // how turns of those ended
  #items = []; // the stored messages that are shown, oldest first: a page may begin in the middle of a turn
  #stale = false; // what is shown of finished turns may have gaps

  conversation = null; // the one that is shown; null = the user's main one, whose id comes with `ready`
  main = null;

  /** views: thread, banner, progress, header, composer, list, elsewhere, desk, meter, language. `connection` needs send(frame) and
   * settled(). */
  constructor({ connection, outbox, views, conversation = null }) {
    Object.assign(this, { connection, outbox, views, conversation });
  }

  /** A frame from the gateway. A type that this page does not know is one of a newer gateway: nothing to show. */
  receive(frame) {
    const handler = this.#handlers[frame.type];
    if (handler) handler(frame);
    else if (frame.turn) this.#event(frame);
  }

  /** The socket is gone; the next `ready` brings everything up to date. */
  lost() {
    this.#greeted = false;
    this.#asked = null;
    this.#ledger.forgetGaps();
    this.views.thread.connected(false);
  }

  /**
   * Send `content` as the user's message; `whenBusy` says what becomes of it during an answer, `takeFiles()` gives its
   * files, `filesOf` {turn, names} is a turn whose files come along again. Returns why not, or "".
   */
  say(content, { whenBusy = "", model = "", takeFiles = () => [], filesOf = null } = {}) {
    if (isTooLong(content)) return t("This message is too long to send. Shorten it or split it up.");
    const files = takeFiles();
    const message = {
      id: newId(),
      content,
      conversation: this.conversation,
      ...(whenBusy && { whenBusy }),
      ...(model && { model }),
      ...(files.length && { files }),
      ...(filesOf && { filesOf }),
    };
    this.outbox.add(message);
    this.views.thread.addPending(message, this.#greeted);
    if (this.#greeted) this.#transmit(message);
    return "";
  }

  /** Stop a turn; asked again after a cut, until it has ended. */
  cancel(turn) {
    this.#cancels.add(turn);
    this.views.thread.stopping(turn);
    this.#busy();
    this.#stop(turn);
  }

  /** Settle an approval or answer a question; false when there is no connection. */
  decide(kind, id, fields) {
    if (!this.#greeted) return false;
    const type = kind === "approval" ? "decision" : "answer";
    return this.connection.send({ type, id: `${type}:${id}`, [kind]: id, ...fields });
  }

  /** Ask for the part of the conversation before what is shown. */
  earlier(before) {
    if (this.#asked === null) this.#askHistory(before);
  }

  /** Show another conversation; null is the main one. */
  show(conversation) {
    this.conversation = conversation ?? this.main;
    this.#items = [];
    this.views.thread.clear();
    this.#reading();
    this.#ledger.rewind();
    if (this.#greeted) this.#catchUp();
  }

  #reading() {
    this.views.header.conversation(this.conversation !== this.main);
    this.views.list.reading(this.conversation);
    this.views.elsewhere.reading(this.conversation);
  }

  #send(frame) {
    if (this.#greeted) this.connection.send(frame);
  }

  #transmit({ id, content, conversation, whenBusy, model, files, filesOf }) {
    const target = conversation ?? this.conversation;
    const chosen = {
      ...(target && { conversation: target }),
      ...(files && { attachments: files.map((file) => file.id) }),
      ...(filesOf && { attachments_of: filesOf.turn }),
      ...(whenBusy && { when_busy: whenBusy }),
      ...(model && { model }),
    };
    this.#send({ type: "message", id, content, ...chosen });
  }

  #ready(frame) {
    this.#greeted = true;
    this.connection.settled();
    this.main = frame.conversation;
    this.conversation ??= frame.conversation;
    this.views.header.ready(frame);
    this.#reading();
    this.views.desk.changed();
    this.views.meter.changed();
    this.views.banner.clear();
    this.views.thread.connected(true);
    for (const turn of frame.running ?? []) this.#ledger.watch(turn);
    this.#catchUp();
    this.#cancels.forEach((turn) => this.#stop(turn));
  }

  /** Everything of this conversation that is not shown yet: its history, its open turns, unacknowledged messages. */
  #catchUp() {
    this.#resumes.clear();
    this.#askHistory(null);
    for (const turn of this.#ledger.open()) this.#resume(turn);
    for (const message of this.outbox.messages) {
      const target = message.conversation ?? this.main;
      if (target === this.conversation) this.views.thread.addPending(message, true);
      this.#transmit(message);
    }
  }

  // An error about a frame carries its id: "resume:<turn>" says what was refused.
  #resume(turn) {
    this.#send({ type: "resume", id: `resume:${turn}`, turn, after: this.#ledger.last(turn) });
  }

  #stop(turn) {
    this.#send({ type: "cancel", id: `cancel:${turn}`, turn });
  }

  #askHistory(before) {
    this.#asked = before ?? "";
    this.views.thread.setLoading(true);
    this.#send({ type: "history", id: "history:", conversation: this.conversation, ...(before ? { before } : {}) });
  }

  #status(frame) {
    this.views.progress.stage(frame.state, frame.detail);
    // History is kept in the workspace: while that starts it may have been refused.
    if (frame.state !== "ready") return;
    if (this.#stale) this.#askHistory(null);
    this.views.language.awake();
  }

  #accepted({ id, turn, conversation, position }) {
    const message = this.outbox.settle(id);
    const entry = this.#ledger.watch(turn, conversation);
    // A command that begins a conversation answers in it: the page goes along.
    if (message && (message.conversation ?? this.main) === this.conversation && conversation !== this.conversation) {
      this.main = conversation;
      this.show(conversation);
      return;
    }
    if (conversation === this.conversation) this.views.thread.bind(id, turn, entry.open ? position : 0);
    this.#busy();
  }

  #history(frame) {
    if (frame.conversation !== this.conversation || this.#asked === null) return;
    const older = this.#asked !== "";
    this.#asked = null;
    this.#stale = false;
    const touched = new Set(frame.items.map(({ turn }) => turn).filter((turn) => !this.#ledger.isOpen(turn)));
    if (older || !this.#items.length) this.#items = [...frame.items, ...this.#items];
    Object.assign(this.#endings, frame.turns);
    const messages = older ? this.#items : frame.items;
    const turns = historyTurns(messages, this.#endings).filter(({ turn }) => touched.has(turn));
    this.views.thread.addHistory(turns, { before: frame.before ?? null, older });
    this.#busy();
  }

  #error(frame) {
    if (frame.id && this.outbox.settle(frame.id)) {
      this.views.thread.refuse(frame.id, frame);
      return;
    }
    const [kind, turn] = (frame.id ?? "").split(":");
    const refused = {
      history: this.#historyRefused,
      resume: this.#resumeRefused,
      cancel: this.#cancelRefused,
      decision: this.#waitRefused,
      answer: this.#waitRefused,
    }[kind];
    if (refused) refused.call(this, frame, turn);
    else this.views.banner.error(frame);
  }

  #historyRefused(frame) {
    this.#asked = null;
    this.#stale = true;
    this.views.thread.historyFailed();
    // The progress line tells already why the workspace did not start.
    if (frame.code !== "workspace_failed") this.views.banner.error(frame);
  }

  /** The gateway has no events of the turn any more: what came of it stands in the history. */
  #resumeRefused(frame, turn) {
    if (frame.code !== "gone" && frame.code !== "not_found") {
      this.#resumes.later(turn, () => this.#resume(turn), { least: (frame.retry_after_s ?? AGAIN_AFTER_S) * 1000 });
      return;
    }
    this.#resumes.settle(turn);
    this.#ledger.close(turn);
    if (this.#waits.ended(turn)) this.#tellWaits();
    this.views.thread.remove(turn);
    this.#askHistory(null);
    this.#busy();
  }

  /** A turn that cannot be stopped has mostly ended: its own events say how. */
  #cancelRefused(frame, turn) {
    this.#cancels.delete(turn);
    if (frame.code === "not_found") this.#resume(turn);
    else this.views.banner.error(frame);
    this.#busy();
  }

  /** The card says why; of one that is no longer shown the banner does. */
  #waitRefused(frame, id) {
    if (!this.views.thread.refuseWait(id, frame)) this.views.banner.error(frame);
  }

  #event(frame) {
    const verdict = this.#ledger.judge(frame);
    if (verdict === "ask") this.#resume(frame.turn);
    if (verdict !== "show") return;
    this.#resumes.settle(frame.turn);
    if (!this.#ledger.isOpen(frame.turn)) this.#ended(frame.turn);
    if (this.#waits.hear(frame)) this.#tellWaits();
    if (frame.conversation === this.conversation) this.views.thread.apply(frame);
    if (frame.type === "tool_call" || frame.type === "token") this.views.progress.hide();
    this.#busy();
  }

  #tellWaits() {
    const counts = this.#waits.counts();
    this.views.elsewhere.waiting(counts);
    this.views.list.waiting(new Set(counts.keys()));
    // It may have been begun in a chat app.
    this.views.desk.changed();
  }

  /** A conversation that was used stands first, and may have got its title. */
  #ended(turn) {
    this.#cancels.delete(turn);
    this.views.desk.changed();
    this.views.meter.changed();
  }

  /** The stop button belongs to the oldest open turn of this conversation. */
  #busy() {
    const [turn] = this.#ledger.open(this.conversation).filter((open) => this.views.thread.has(open));
    this.views.composer.running(turn ?? null, this.#cancels.has(turn));
    this.views.list.busy(this.#ledger.busy());
  }
}

function isTooLong(content) {
  const bytes = new TextEncoder().encode(JSON.stringify(content)).length;
  return bytes > LONGEST_CONTENT_BYTES || Array.from(content).length > LONGEST_CONTENT_CHARACTERS;
}
