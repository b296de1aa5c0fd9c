/** The account page: builds its parts, connects them, starts. */

import { foldAway } from "./account_menu.js";
import { Clock } from "./clock.js";
import { byId } from "./dom.js";
import { LinkCards } from "./link_cards.js";
import { LinkDesk } from "./link_desk.js";
import { LinkList } from "./link_list.js";
import { chooseLook } from "./look.js";

const config = JSON.parse(byId("config").textContent);
const clock = new Clock(config.now);
const label = (channel) => config.channels[channel] ?? channel;
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
    note: byId("note"),
    spoken: byId("spoken"),
    offers: document.getElementById("offers"), // not there without a licence or a channel
  },
});

chooseLook({ theme: byId("theme"), language: byId("language") });
foldAway(document.querySelector(".account"));
desk.start(config);
