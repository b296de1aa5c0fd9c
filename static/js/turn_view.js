/** One turn on the page: the user's words, then what the agent does and says, in the order it came. */

import { approvalCard } from "./approval_card.js";
import { timeOf } from "./clock.js";
import { copyButton } from "./copy.js";
import { el, icon } from "./dom.js";
import { ownImage } from "./links.js";
import { MarkdownStream } from "./markdown.js";
import { questionCard } from "./question_card.js";
import { clean, duration, timeOfId } from "./text.js";
import { ToolView } from "./tool_view.js";

const CHANNELS = { telegram: "Telegram", slack: "Slack", discord: "Discord", webhook: "Webhook" };

export class TurnView {
  #question = el("div", { class: "question", dir: "auto" });
  #files = el("ul", { class: "files", hidden: true, "aria-label": "Attached files" });
  #badge = el("div", { class: "question-note" });
  #steps = el("div", { class: "steps" });
  #waiting = el("p", { class: "waiting" });
  #outcome = el("div", { class: "outcome" });
  #texts = []; // MarkdownStreams, in the order they are shown
  #tools = new Map(); // call -> ToolView
  #waits = new Map(); // id of an approval or question -> WaitCard
  #growing = null; // the stream that tokens go to
  #model = "";
  #reason = "";
  #inLine = false; // others come first
  #tried = ""; // the user's words, for trying again

  turn = null;
  settled = false;

  /** actions: retry(content, view), cancel(turn), decide(kind, id, fields), which tells whether it could be sent. */
  constructor(actions) {
    this.actions = actions;
    const asked = el("div", { class: "asked", hidden: true }, this.#question, this.#files, this.#badge);
    const answer = el("div", { class: "answer" }, this.#steps, this.#waiting, this.#outcome);
    this.asked = asked;
    this.node = el("article", { class: "turn" }, asked, answer);
  }

  /** A message of this page that has no turn yet. */
  sending(connected) {
    this.#badge.textContent = connected ? "Sending…" : "Waiting for the connection…";
    this.node.dataset.state = "sending";
  }

  ask({ content, channel, attachments = [] }) {
    this.#tried = content;
    this.asked.hidden = false;
    this.#question.textContent = clean(content);
    this.#files.replaceChildren(...attachments.map((name) => el("li", {}, icon("clip"), el("span", { dir: "auto" }, clean(name)))));
    this.#files.hidden = attachments.length === 0;
    this.#badge.textContent = channel === "web" ? "" : `from ${CHANNELS[channel] ?? clean(channel)}`;
  }

  /** The gateway has it, behind `position` others. */
  accept(turn, position) {
    this.turn = turn;
    this.node.dataset.turn = turn;
    if (this.node.dataset.state === "sending") {
      this.#badge.textContent = "";
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
    this.#model = model ?? "";
    for (const step of steps) {
      if (step.kind === "text") this.#write(step.content, "append");
      else if (step.kind === "image") this.#image(step);
      else this.#restoreTool(step);
    }
    if (ending?.error) this.#failed(ending.error, { role: null });
    else if (ending?.state === "cancelled") this.#cancelled({});
    else this.#end(ending ?? {});
  }

  /** The gateway did not take the message. */
  refuse({ message, retry_after_s: seconds }) {
    this.#badge.textContent = "";
    this.#fail(message, { seconds });
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

  /** It was said again: a message that never was a turn goes, a failed turn keeps its reason. */
  retried() {
    if (this.turn) this.#outcome.querySelector("button").remove();
    else this.node.remove();
  }

  stopping() {
    if (!this.settled) this.#say("Stopping…");
  }

  /** What the agent has said, as it is read. */
  get text() {
    return [...this.#steps.querySelectorAll(":scope > .text")].map((node) => node.innerText).join("\n\n");
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
    notice: ({ text }) => this.#notice(clean(text)),
    done: (frame) => this.#done(frame),
    failed: (frame) => this.#failed(frame),
    cancelled: (frame) => this.#cancelled(frame),
  };

  #wait(position) {
    this.#inLine = position > 0;
    if (!this.#inLine) {
      this.#say("Thinking…");
      return;
    }
    this.#say(position === 1 ? "Next in line…" : `Waiting behind ${position} messages…`);
    const withdraw = () => this.actions.cancel(this.turn);
    this.#waiting.append(el("button", { type: "button", class: "button small", onclick: withdraw }, "Withdraw"));
  }

  /** What waits in line is told of something only when another answer takes it up. */
  #notice(text) {
    if (this.#inLine) this.#waiting.replaceChildren();
    this.#remark("info", text);
  }

  #say(text) {
    const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    this.#waiting.replaceChildren(dots, text);
  }

  #started({ model, reason, attempt }) {
    this.#inLine = false;
    this.#model = model;
    this.#reason = reason;
    if (attempt > 1) this.#abandonTools();
    this.#say(attempt > 1 ? "Starting again…" : "Thinking…");
    this.#waiting.append(el("span", { class: "model", title: reason }, model));
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
    else this.#say("Thinking…");
  }

  #add(node) {
    this.#growing?.finish();
    this.#growing = null;
    this.#steps.append(node);
  }

  #remark(sign, text) {
    this.#add(el("p", { class: "notice" }, icon(sign), text));
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
    this.#say("Thinking…");
  }

  #await(kind, frame) {
    const id = frame[kind];
    if (this.#waits.has(id)) return;
    const act = (fields) => {
      card.sent();
      if (!this.actions.decide(kind, id, fields)) card.refused("There is no connection. Try again in a moment.", false);
    };
    const card = kind === "approval"
      ? approvalCard(frame, (decision) => act({ decision, digest: frame.digest }))
      : questionCard(frame, (values) => act({ values }));
    this.#waits.set(id, card);
    this.#add(card.node);
    this.#waiting.replaceChildren("Waiting for you.");
  }

  #settleWait(id, outcome, channel) {
    this.#waits.get(id)?.settle(outcome, channel);
    if (!this.settled) this.#say("Thinking…");
  }

  #restoreTool(step) {
    this.#callTool(step);
    const { ms, failed, summary } = step;
    this.#tools.get(step.call).result(failed ? { ms, error: summary } : { ms, summary });
  }

  #image({ url, alt }) {
    const address = ownImage(url);
    if (address) this.#add(el("figure", {}, el("img", { src: address, alt: clean(alt), loading: "lazy" })));
    else this.#remark("info", `An image from elsewhere is not shown: ${clean(alt)}`);
  }

  #done({ content, model, usage, ms }) {
    const spoken = this.#texts.map((stream) => stream.text);
    const shown = [spoken.join(""), spoken.join("\n\n"), spoken.at(-1) ?? ""].map((text) => text.trim());
    if (!shown.includes(content.trim())) this.#rewrite(content);
    this.#model = model ?? "";
    this.#end({ usage, ms });
  }

  /** `role`: what failed long ago alarms nobody. */
  #failed({ message }, { role = "alert" } = {}) {
    this.#fail(message, { role });
    this.#settle("failed");
  }

  #cancelled({ content }) {
    if (content && !this.#texts.length) this.#rewrite(content);
    this.#outcome.replaceChildren(el("p", { class: "notice" }, icon("stop"), "Stopped."));
    this.#settle("cancelled");
  }

  #end({ usage, ms }) {
    const at = timeOfId(this.turn ?? "");
    const parts = [at && timeOf(at), this.#model, ms && duration(ms), tokens(usage), cost(usage)];
    const facts = el("span", { class: "facts", title: this.#reason || null }, parts.filter(Boolean).join(" · "));
    const source = () => this.#texts.map((stream) => clean(stream.text)).join("\n\n");
    const copy = this.#texts.length ? [copyButton("Copy answer", source)] : [];
    this.#outcome.replaceChildren(el("footer", { class: "meta" }, facts, ...copy));
    this.#settle("done");
  }

  #fail(message, { seconds = 0, role = "alert" }) {
    const retry = () => this.actions.retry(this.#tried, this);
    const again = el("button", { type: "button", class: "button small", onclick: retry });
    const words = el("p", {}, icon("alert"), clean(message));
    this.#outcome.replaceChildren(el("div", { class: "failure", role }, words, again));
    countDown(again, seconds);
    again.hidden = !this.#tried;
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
function countDown(button, seconds) {
  button.disabled = seconds > 0;
  button.textContent = seconds > 0 ? `Try again in ${Math.ceil(seconds)} s` : "Try again";
  if (seconds > 0) setTimeout(() => countDown(button, seconds - 1), Math.min(1, seconds) * 1000);
}

function tokens(usage) {
  const sum = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0);
  return sum ? `${sum.toLocaleString("en")} tokens` : "";
}

function cost(usage) {
  return usage?.cost_usd ? `$${usage.cost_usd.toFixed(usage.cost_usd < 0.01 ? 4 : 2)}` : "";
}
