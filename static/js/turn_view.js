/** One turn on the page: the user's words, then what the agent does and says, in the order it came. */

import { approvalCard } from "./approval_card.js";
import { timeOf } from "./clock.js";
import { copyButton } from "./copy.js";
import { el, icon } from "./dom.js";
import { ownImage } from "./links.js";
import { MarkdownStream } from "./markdown.js";
import { questionCard } from "./question_card.js";
import { QuestionView } from "./question_view.js";
import { clean, duration, timeOfId } from "./text.js";
import { ToolView } from "./tool_view.js";
import { counted, decimal, t } from "./words.js";

export class TurnView {
  #question;
  #steps = el("div", { class: "steps" });
  #waiting = el("p", { class: "waiting" });
  #outcome = el("div", { class: "outcome" });
  #texts = []; // MarkdownStreams, in the order they are shown
  #noticed = new Set();
  #tools = new Map(); // call -> ToolView
  #waits = new Map(); // id of an approval or question -> WaitCard
  #growing = null; // the stream that tokens go to
  #model = "";
  #reason = "";
  #inLine = false; // others come first
  #takenUp = false; // another turn has the answer
  #sent = {}; // the files of a message that is no turn yet, as say() takes them

  turn = null;
  settled = false;

  /** actions: say(content, files), which tells why not, or ""; cancel(turn); decide(kind, id, fields), which tells whether it could
   * be sent. */
  constructor(actions) {
    this.actions = actions;
    this.#question = new QuestionView((content) => this.#sayAgain(content));
    const answer = el("div", { class: "answer" }, this.#steps, this.#waiting, this.#outcome);
    this.node = el("article", { class: "turn" }, this.#question.node, answer);
  }

  /** A message of this page that has no turn yet. */
  sending(connected) {
    this.#question.note(connected ? t("Sending…") : t("Waiting for the connection…"));
    this.node.dataset.state = "sending";
  }

  /** `files` are those of a message of this page that has no turn yet: {takeFiles()} or {filesOf}. */
  ask(question, files = {}) {
    this.#question.show(question);
    this.#sent = files;
  }

  /** The gateway has it, behind `position` others. */
  accept(turn, position) {
    this.turn = turn;
    this.node.dataset.turn = turn;
    if (this.node.dataset.state === "sending") {
      this.#question.note("");
      delete this.node.dataset.state;
    }
    if (!this.settled && !this.#steps.hasChildNodes()) this.#wait(position);
  }

  /** Show an event frame of this turn. */
  apply(frame) {
    this.#handlers[frame.type]?.(frame);
  }

  /** Show a turn of the stored history. */
  restore({ question, steps, model, ending }) {
    if (question) this.ask(question);
    this.#model = clean(model ?? "");
    for (const step of steps) {
      if (step.kind === "text") this.#write(step.content, "append");
      else if (step.kind === "image") this.#image(step);
      else this.#restoreTool(step);
    }
    if (ending?.error) this.#failed(ending.error, { role: null });
    else if (ending?.state === "cancelled") this.#cancelled(ending);
    else this.#end(ending ?? {});
  }

  /** The gateway did not take the message. */
  refuse({ message, code, retry_after_s: seconds }) {
    this.#question.note("");
    // Its files, or its conversation: again with these would be refused again.
    const gone = code === "not_found" && this.#question.files.length > 0;
    if (gone) this.#question.attach([]);
    this.#fail(message, { seconds, label: gone ? t("Send without files") : t("Try again") });
    this.#settle("failed");
  }

  /** The gateway did not take a decision of this turn's; whether it was one. */
  refuseWait(id, { message, code }) {
    const card = this.#waits.get(id);
    card?.refused(message, ["already_decided", "expired", "not_found", "changed"].includes(code));
    return Boolean(card);
  }

  /** The line is cut: whether a decision on its way has arrived is seen when it is back. */
  offline() {
    for (const card of this.#waits.values()) card.refused("", false);
  }

  stopping() {
    if (!this.settled) this.#say(t("Stopping…"));
  }

  /** What the agent has said, or that it has not, as it is read. */
  get text() {
    return [...this.#steps.querySelectorAll(":scope > .text, :scope > .unanswered")].map((node) => node.innerText).join("\n\n");
  }

  #handlers = {
    user_message: (frame) => this.ask(frame),
    queued: ({ position }) => this.#wait(position),
    started: (frame) => this.#started(frame),
    token: ({ content }) => this.#write(content, "append"),
    snapshot: ({ content }) => this.#rewrite(content),
    tool_call: (frame) => this.#callTool(frame),
    tool_progress: (frame) => this.#tools.get(frame.call)?.progress(frame),
    tool_result: (frame) => this.#toolResult(frame),
    image: (frame) => this.#image(frame),
    approval: (frame) => this.#await("approval", frame),
    approval_settled: (frame) => this.#settleWait(frame.approval, frame.decision, frame.by_channel),
    question: (frame) => this.#await("question", frame),
    question_settled: (frame) => this.#settleWait(frame.question, frame.outcome, frame.by_channel),
    notice: ({ text }) => this.#notice(clean(t(text))),
    done: (frame) => this.#done(frame),
    failed: (frame) => this.#failed(frame),
    cancelled: (frame) => this.#cancelled(frame),
  };

  #wait(position) {
    this.#inLine = position > 0;
    if (!this.#inLine) {
      this.#say(t("Thinking…"));
      return;
    }
    const behind = counted("Waiting behind {count} message…", "Waiting behind {count} messages…", position);
    this.#say(position === 1 ? t("Next in line…") : behind);
    const withdraw = () => this.actions.cancel(this.turn);
    this.#waiting.append(el("button", { type: "button", class: "button small", onclick: withdraw }, t("Withdraw")));
  }

  /** What waits in line is told of something only when another answer takes it up. */
  #notice(text) {
    if (this.#inLine) {
      this.#takenUp = true;
      this.#waiting.replaceChildren();
    }
    // Each attempt at the turn says it.
    if (this.#noticed.has(text)) return;
    this.#noticed.add(text);
    this.#remark("info", text);
  }

  #say(text) {
    const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    this.#waiting.replaceChildren(dots, text);
  }

  #started({ model, reason, attempt }) {
    this.#inLine = false;
    this.#model = clean(model);
    this.#reason = clean(reason);
    if (attempt > 1) this.#abandonTools();
    this.#say(attempt > 1 ? t("Starting again…") : t("Thinking…"));
    this.#waiting.append(el("span", { class: "model", title: this.#reason }, this.#model));
  }

  #write(content, how) {
    this.#waiting.replaceChildren();
    if (!this.#growing) {
      const node = el("div", { class: "text" });
      this.#steps.append(node);
      this.#growing = new MarkdownStream(node);
      this.#texts.push(this.#growing);
    }
    this.#growing[how](content);
  }

  /** `content` stands for all text shown so far; it takes the place after what the agent has done. */
  #rewrite(content) {
    for (const node of this.#steps.querySelectorAll(":scope > .text")) node.remove();
    this.#texts = [];
    this.#growing = null;
    if (content) this.#write(content, "replace");
    else this.#say(t("Thinking…"));
  }

  #add(node) {
    this.#growing?.finish();
    this.#growing = null;
    this.#steps.append(node);
  }

  #remark(sign, text, kind = "") {
    this.#add(el("p", { class: `notice ${kind}` }, icon(sign), text));
  }

  #callTool(frame) {
    const view = new ToolView(frame);
    this.#tools.set(frame.call, view);
    this.#add(view.node);
    this.#waiting.replaceChildren();
  }

  #toolResult(frame) {
    if (!this.#tools.has(frame.call)) this.#callTool({ ...frame, arguments: {} });
    this.#tools.get(frame.call).result(frame);
    this.#say(t("Thinking…"));
  }

  #await(kind, frame) {
    const id = frame[kind];
    if (this.#waits.has(id)) return;
    const act = (fields) => {
      card.sent();
      if (!this.actions.decide(kind, id, fields)) card.refused(t("There is no connection. Try again in a moment."), false);
    };
    const card = kind === "approval"
      ? approvalCard(frame, (decision) => act({ decision, digest: frame.digest }))
      : questionCard(frame, (values) => act({ values }));
    this.#waits.set(id, card);
    this.#add(card.node);
    this.#waiting.replaceChildren(t("Waiting for you."));
  }

  #settleWait(id, outcome, channel) {
    this.#waits.get(id)?.settle(outcome, channel);
    if (!this.settled) this.#say(t("Thinking…"));
  }

  #restoreTool(step) {
    this.#callTool(step);
    const { ms, failed, summary } = step;
    this.#tools.get(step.call).result(failed ? { ms, error: summary } : { ms, summary });
  }

  #image({ url, alt }) {
    const address = ownImage(url);
    if (address) this.#add(el("figure", {}, el("img", { src: address, alt: clean(alt), loading: "lazy" })));
    else this.#remark("info", t("An image from elsewhere is not shown: {alt}", { alt: clean(alt) }));
  }

  #done({ content, model, usage, ms }) {
    const spoken = this.#texts.map((stream) => stream.text);
    const shown = [spoken.join(""), spoken.join("\n\n"), spoken.at(-1) ?? ""].map((text) => text.trim());
    if (!shown.includes(content.trim())) this.#rewrite(content);
    this.#model = clean(model ?? "");
    this.#end({ state: "done", usage, ms });
  }

  /** `role`: what failed long ago alarms nobody. */
  #failed({ message }, { role = "alert" } = {}) {
    this.#fail(message, { role });
    this.#settle("failed");
  }

  #cancelled({ content, usage, ms }) {
    if (content && !this.#texts.length) this.#rewrite(content);
    this.#outcome.replaceChildren(el("p", { class: "notice" }, icon("stop"), t("Stopped.")), this.#meta({ usage, ms }));
    this.#settle("cancelled");
  }

  #end({ state, usage, ms }) {
    if (state === "done" && !this.#takenUp && !this.#says) this.#remark("info", t("There is no answer to show."), "unanswered");
    this.#outcome.replaceChildren(this.#meta({ usage, ms }));
    this.#settle("done");
  }

  /** Whether there is more to see than what the agent has looked at. */
  get #says() {
    const written = this.#texts.some((stream) => stream.text.trim());
    return written || this.#waits.size > 0 || Boolean(this.#steps.querySelector(":scope > figure"));
  }

  /** The facts of an answer, and what may be done with it. */
  #meta({ usage, ms }) {
    const at = timeOfId(this.turn ?? "");
    const parts = [at && timeOf(at), this.#model, ms && duration(ms), tokens(usage), cost(usage)];
    const facts = el("span", { class: "facts", title: this.#reason || null }, parts.filter(Boolean).join(" · "));
    const source = () => this.#texts.map((stream) => clean(stream.text)).join("\n\n");
    const copy = this.#texts.length ? [copyButton(t("Copy answer"), source)] : [];
    const again = this.#question.words ? [this.#again()] : [];
    return el("footer", { class: "meta" }, facts, ...copy, ...again);
  }

  #fail(message, { seconds = 0, role = "alert", label = t("Try again") }) {
    const again = el("button", { type: "button", class: "button small", onclick: () => this.#retry() });
    const words = el("p", {}, icon("alert"), clean(t(message)));
    this.#outcome.replaceChildren(el("div", { class: "failure", role }, words, again));
    countDown(again, seconds, label);
    again.hidden = !this.#question.words;
  }

  /** Say it again as a new message; the failed attempt stays where it is, without its button, unless it never was a turn. */
  #retry() {
    if (this.#sayAgain(this.#question.words)) return;
    if (this.turn) this.#outcome.querySelector("button").remove();
    else this.node.remove();
  }

  /** Say this, or `words` in its place, with the same files; why not, or "". */
  #sayAgain(words) {
    const names = this.#question.files;
    if (!names.length) return this.actions.say(words, {});
    return this.actions.say(words, this.turn ? { filesOf: { turn: this.turn, names } } : this.#sent);
  }

  #again() {
    const label = t("Ask again");
    const ask = () => this.#sayAgain(this.#question.words);
    return el("button", { type: "button", class: "copy", "aria-label": label, title: label, onclick: ask }, icon("again"));
  }

  #settle(state) {
    this.settled = true;
    this.node.dataset.state = state;
    this.#waiting.replaceChildren();
    this.#texts.forEach((stream) => stream.finish());
    this.#growing = null;
    this.#abandonTools();
    this.#waits.forEach((card) => card.settle("cancelled", ""));
  }

  #abandonTools() {
    this.#tools.forEach((tool) => tool.abandon());
  }
}

/** Let a button be pressed after `seconds`, and say so until then. */
function countDown(button, seconds, label) {
  button.disabled = seconds > 0;
  button.textContent = seconds > 0 ? t("Try again in {seconds} s", { seconds: Math.ceil(seconds) }) : label;
  if (seconds > 0) setTimeout(() => countDown(button, seconds - 1, label), Math.min(1, seconds) * 1000);
}

function tokens(usage) {
  const sum = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0);
  return sum ? counted("{count} token", "{count} tokens", sum) : "";
}

function cost(usage) {
  return usage?.cost_usd ? `$${decimal(usage.cost_usd, usage.cost_usd < 0.01 ? 4 : 2)}` : "";
}
