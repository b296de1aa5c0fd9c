/** The chat page: builds its parts, connects them, starts. */

import { foldAway } from "./account_menu.js";
import { Attachments } from "./attachments.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConversationDesk } from "./conversation_desk.js";
import { ConversationList } from "./conversation_list.js";
import { byId } from "./dom.js";
import { Elsewhere } from "./elsewhere.js";
import { RequestError } from "./http.js";
import { chooseLook, PreferredLanguage } from "./look.js";
import { leave, leaveWithOthers, wasSignedOut } from "./leaving.js";
import { ModelChoice } from "./model_choice.js";
import { Outbox } from "./outbox.js";
import { Scroller } from "./scroller.js";
import { Session } from "./session.js";
import { Side } from "./side.js";
import { Banner, Header, Progress } from "./status.js";
import { Thread } from "./thread.js";
import { UsageMeter } from "./usage_meter.js";

const CONVERSATIONS_URL = "/api/v1/conversations";
const UPLOADS_URL = "/api/v1/uploads";

const config = JSON.parse(byId("config").textContent);
const banner = new Banner(byId("banner"));
const models = new ModelChoice(
  { box: byId("models"), select: byId("model") },
  { url: "/api/v1/models", storage: localStorage, key: `dexorder.model.${config.userId}` },
);
const meter = new UsageMeter(byId("meter"), { url: "/api/v1/usage" });
const header = new Header({
  line: byId("line"),
  lineText: byId("line-text"),
  back: byId("back"),
  tiers: [...document.querySelectorAll("[data-tier]")],
  models,
});
const progress = new Progress({ box: byId("progress"), bar: byId("progress-bar"), text: byId("progress-text") });
const side = new Side(
  { side: byId("side"), toggle: byId("side-toggle"), shade: byId("shade"), behind: [byId("scroll"), byId("bottom")] },
  { storage: localStorage },
);
const desk = new ConversationDesk({
  url: CONVERSATIONS_URL,
  hooks: { gone: deleted, signedOut },
});
const list = new ConversationList(
  { list: byId("conversations"), note: byId("side-note"), more: byId("more") },
  {
    more: () => desk.more(),
    rename: (id, title) => desk.rename(id, title),
    remove: (id) => desk.remove(id),
  },
);
const elsewhere = new Elsewhere({ box: byId("elsewhere"), spoken: byId("elsewhere-spoken") });
desk.views = [list, elsewhere];
const scroller = new Scroller({ box: byId("scroll"), content: byId("thread"), button: byId("latest") });
const thread = new Thread(
  {
    list: byId("turns"),
    empty: byId("empty"),
    older: byId("older"),
    loading: byId("loading"),
    spoken: byId("spoken"),
    scroller,
  },
  {
    say: (content, files) => session.say(content, { ...composer.choices, ...files }),
    earlier: (before) => session.earlier(before),
    cancel: (turn) => session.cancel(turn),
    decide: (kind, id, fields) => session.decide(kind, id, fields),
  },
);
const composer = new Composer(
  {
    form: byId("composer"),
    input: byId("input"),
    send: byId("send"),
    stop: byId("stop"),
    note: byId("note"),
    busy: byId("busy"),
    policy: byId("policy"),
    model: models,
  },
  { say: (content, more) => session.say(content, more), cancel: (turn) => session.cancel(turn) },
  { storage: sessionStorage, draftKey: `dexorder.draft.${config.userId}`, attach },
);

function attach(hooks) {
  const parts = { button: byId("attach"), input: byId("file"), list: byId("files"), field: byId("input") };
  return new Attachments(parts, { url: UPLOADS_URL, ...hooks });
}

const language = new PreferredLanguage({ chosen: config.languageChosen, idle: () => composer.idle });
const connection = new Connection({
  wsPath: config.wsPath,
  ticketUrl: config.ticketUrl,
  onFrame,
  onPhase,
});
const session = new Session({
  connection,
  outbox: new Outbox(sessionStorage, config.userId),
  views: { banner, composer, desk, elsewhere, header, language, list, meter, progress, thread },
  conversation: conversationInAddress(),
});

/** Somebody else may have signed in in this browser: the socket is theirs. */
function onFrame(frame) {
  if (frame.type === "ready" && frame.user_id !== config.userId) leave();
  else session.receive(frame);
}

function onPhase(phase, { message, told } = {}) {
  header.phase(phase);
  if (phase !== "open" && phase !== "connecting") session.lost();
  if (phase === "offline") banner.offline();
  if (phase === "signed_out") signedOut({ told });
  if (phase === "refused") banner.refused(message);
  if (phase === "signed_out" || phase === "refused") composer.close();
}

/** What was written is kept for a session that has only run out. */
function signedOut({ told = false } = {}) {
  if (told || wasSignedOut()) leave();
  else banner.signedOut();
}

function conversationInAddress() {
  return /^#c-([\w-]{1,64})$/.exec(location.hash)?.[1] ?? null;
}

async function newConversation() {
  try {
    location.hash = `c-${await desk.fresh()}`;
    side.chosen();
    composer.focus();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (error.kind === "signed_out") signedOut();
    else banner.error({ message: error.message });
  }
}

/** A conversation was deleted: another main one is made when the page greets again. */
function deleted({ id, alias }) {
  if (alias === "main") location.replace("/");
  else if (id === session.conversation) location.hash = "";
}

addEventListener("hashchange", () => session.show(conversationInAddress()));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && desk.changed());
byId("new").addEventListener("click", newConversation);
byId("find").addEventListener("input", (event) => desk.search(event.target.value));
byId("conversations").addEventListener("click", (event) => event.target.closest("a") && side.chosen());
byId("elsewhere").addEventListener("click", (event) => event.target.closest("a") && thread.seek());
byId("empty").addEventListener("click", (event) => {
  const example = event.target.closest("button");
  if (!example) return;
  session.say(example.textContent.trim(), composer.choices);
  composer.focus();
});
chooseLook({ theme: byId("theme"), language: byId("language") });
foldAway(document.querySelector(".account"));
leaveWithOthers();
if (matchMedia("(hover: hover)").matches) composer.focus();
connection.start();
