/** The accounts that are linked, each with its way out. */

import { dateOf } from "./clock.js";
import { el, icon } from "./dom.js";
import { showKeyed } from "./keyed.js";
import { clean } from "./text.js";
import { t } from "./words.js";

/** An account for people: its name where the platform told one, and always its id. */
export function accountName({ name, account }) {
  return name ? clean(name) : t("Account {account}", { account: clean(account) });
}

export class LinkList {
  /** parts: list (a <ul>), none (shown when there are none). */
  constructor(parts, { label, actions }) {
    Object.assign(this, parts, { label, actions });
  }

  show(links) {
    this.none.hidden = links.length > 0;
    showKeyed(this.list, links, { key: ({ id }) => id, make: (link) => this.#row(link) });
  }

  #row(link) {
    const since = dateOf(link.created_at);
    const about = [this.label(link.channel), clean(link.account), t("since {date}", { date: since })].join(" · ");
    const name = el("p", { class: "link-name" }, el("strong", {}, accountName(link)), el("span", {}, about));
    const ways = el("div", { class: "link-ways" });
    this.#offer(link, ways);
    const sign = el("span", { class: "avatar", "aria-hidden": "true" }, icon("chat"));
    return el("li", { class: "link" }, sign, name, ways);
  }

  #offer(link, ways, { focus = false } = {}) {
    const unlink = () => this.#doubleCheck(link, ways);
    const label = t("Unlink {account}", { account: accountName(link) });
    const attributes = { type: "button", class: "button small", "aria-label": label };
    const button = el("button", { ...attributes, onclick: unlink }, t("Unlink"));
    ways.replaceChildren(button);
    if (focus) button.focus();
  }

  #doubleCheck(link, ways) {
    const go = async () => {
      yes.disabled = true;
      await this.actions.unlink(link);
      if (ways.isConnected) this.#offer(link, ways, { focus: true });
    };
    const stay = () => this.#offer(link, ways, { focus: true });
    const label = t("Unlink {account} now", { account: accountName(link) });
    const attributes = { type: "button", class: "button small bad", "aria-label": label };
    const yes = el("button", { ...attributes, onclick: go }, t("Unlink now"));
    const no = el("button", { type: "button", class: "button small", onclick: stay }, t("Keep"));
    ways.replaceChildren(yes, no);
    no.focus();
  }
}
