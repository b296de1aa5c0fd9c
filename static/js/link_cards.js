/** What is on its way to being a link: the code to use, the account that asks, what came of it. */

import { minutesAndSeconds } from "./clock.js";
import { copyButton } from "./copy.js";
import { el, icon } from "./dom.js";
import { showKeyed } from "./keyed.js";
import { accountName } from "./link_list.js";
import { safeLink } from "./links.js";
import { clean } from "./text.js";
import { t } from "./words.js";

export class LinkCards {
  #dismissed = new Set();

  constructor(box, { label, actions, clock }) {
    Object.assign(this, { box, label, actions, clock });
  }

  /** codes: {channel, code, command, deepLink, expiresAt, over}; requests as the API gives them, pending and refused. */
  show(codes, requests) {
    const left = requests.filter(({ id }) => !this.#dismissed.has(id));
    showKeyed(this.box, [...left, ...codes], { key: keyOf, make: (item) => this.#card(item) });
    for (const node of this.box.querySelectorAll("[data-until]")) {
      node.textContent = minutesAndSeconds(this.clock.left(node.dataset.until));
    }
  }

  #card(item) {
    const make = { open: this.#code, over: this.#over, pending: this.#pending, refused: this.#refused }[stateOf(item)];
    return make.call(this, item);
  }

  #code({ channel, code, command, deepLink, expiresAt }) {
    const label = this.label(channel);
    const address = deepLink && safeLink(deepLink);
    const spaced = command.replace(code, `${code.slice(0, 4)} ${code.slice(4)}`);
    const waiting = el("span", {}, t("Waiting for the bot to hear from you. Good for:"), " ", timer(expiresAt));
    return group(
      t("Code for {channel}", { channel: label }),
      "ask",
      el("h3", {}, t("Link {channel}", { channel: label })),
      ...(address ? opening(label, address) : []),
      el("p", {}, address ? t("Or send this to the bot yourself:") : t("Send this to the bot:")),
      el("p", { class: "code-line" }, el("code", {}, spaced), copyButton(t("Copy the command"), () => command)),
      el("p", { class: "ask-foot" }, waiting, small(t("Cancel"), () => this.actions.cancel(channel))),
    );
  }

  #over({ channel }) {
    const again = small(t("New code"), () => this.actions.begin(channel));
    const close = small(t("Close"), () => this.actions.cancel(channel));
    return group(
      t("Code for {channel}", { channel: this.label(channel) }),
      "ask",
      el("p", {}, t("This code is no longer good.")),
      el("p", { class: "ask-ways" }, again, close),
    );
  }

  #pending(request) {
    const label = this.label(request.channel);
    const decide = async (decision) => {
      for (const button of buttons) button.disabled = true;
      await this.actions.decide(request, decision);
      for (const button of buttons) button.disabled = false;
    };
    const buttons = [
      el("button", { type: "button", class: "button", onclick: () => decide("confirm") }, t("Confirm")),
      el("button", { type: "button", class: "button secondary", onclick: () => decide("reject") }, t("Reject")),
    ];
    const [before, after] = t("Link {channel} account {account}?", { channel: label }).split("{account}");
    const id = t("Its id in {channel} is {account}.", { channel: label, account: clean(request.account) });
    const warning = t("Confirm only if this account is yours: it will speak for you, and read what you are answered.");
    return group(
      t("Request of a {channel} account", { channel: label }),
      "ask pending",
      el("h3", {}, before, el("bdi", {}, accountName(request)), after),
      el("p", {}, id, " ", warning),
      el("p", { class: "ask-ways" }, ...buttons, el("span", {}, t("Good for:"), " ", timer(request.expires_at))),
    );
  }

  #refused({ id, channel }) {
    const label = this.label(channel);
    const dismiss = () => {
      this.#dismissed.add(id);
      card.remove();
    };
    const why = t("The {channel} account that used your code is linked to another Dexorder user.", { channel: label });
    const card = group(
      t("Refused request of a {channel} account", { channel: label }),
      "ask refused",
      icon("alert"),
      el("p", {}, why, " ", t("Send /unlink to the bot from that account first, then use a new code.")),
      el("button", { type: "button", class: "quiet", "aria-label": t("Dismiss"), onclick: dismiss }, icon("close")),
    );
    return card;
  }
}

function group(label, kind, ...children) {
  return el("div", { class: kind, role: "group", "aria-label": label }, ...children);
}

function opening(label, address) {
  const attributes = { class: "button", href: address, target: "_blank", rel: "noopener" };
  return [
    el("p", {}, t("Open the bot and press Start, in the app where you want to use it.")),
    el("p", {}, el("a", attributes, icon("open"), t("Open {channel}", { channel: label }))),
  ];
}

function small(words, onclick) {
  return el("button", { type: "button", class: "button small", onclick }, words);
}

/** Filled by `show`. */
function timer(until) {
  return el("time", { "data-until": until, role: "timer" });
}

function stateOf(item) {
  return item.state ?? (item.over ? "over" : "open");
}

function keyOf(item) {
  return `${stateOf(item)}:${item.id ?? `${item.channel}:${item.code}`}`;
}
