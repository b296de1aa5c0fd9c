/** The account page: builds its parts, connects them, starts. */

import { foldAway } from "./account_menu.js";
import { label } from "./channels.js";
import { Clock } from "./clock.js";
import { byId } from "./dom.js";
import { leaveWithOthers } from "./leaving.js";
import { LinkCards } from "./link_cards.js";
import { LinkDesk } from "./link_desk.js";
import { LinkList } from "./link_list.js";
import { chooseLook } from "./look.js";
import { Note } from "./note.js";
import { ScheduleDesk } from "./schedule_desk.js";
import { t } from "./words.js";

const config = JSON.parse(byId("config").textContent);
const clock = new Clock(config.now);
const spoken = byId("spoken");
const schedules = new ScheduleDesk({
  url: config.schedulesUrl,
  label: (channel) => (channel === "web" ? t("Web page") : label(channel)),
  list: byId("schedule-list"),
  none: byId("no-schedules"),
  note: new Note(byId("schedule-note")),
  spoken,
});
const actions = {
  begin: (channel) => desk.begin(channel),
  cancel: (channel) => desk.cancel(channel),
  decide: (request, decision) => desk.decide(request, decision),
  unlink: (link) => desk.unlink(link),
};
const desk = new LinkDesk({
  url: config.linksUrl,
  clock,
  label,
  views: {
    list: new LinkList({ list: byId("links"), none: byId("no-links") }, { label, actions }),
    cards: new LinkCards(byId("asks"), { label, actions, clock }),
    note: new Note(byId("note")),
    spoken,
    offers: document.getElementById("offers"), // not there without a licence or a channel
  },
  linked: (channels) => schedules.linked(channels),
});

chooseLook({ theme: byId("theme"), language: byId("language") });
foldAway(document.querySelector(".account"));
leaveWithOthers();
schedules.start(config.schedules);
desk.start(config);
