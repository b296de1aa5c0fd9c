/** The accounts that are linked, each with its way out. */

import { askTwice } from "./ask_twice.js";
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
    const since = dateOf(link.created_at).replaceAll(" ", "\u00a0"); // on one line
    const about = [this.label(link.channel), clean(link.account), t("since {date}", { date: since })].join(" · ");
    const name = el("p", { class: "link-name" }, el("strong", {}, accountName(link)), el("span", {}, about));
    const ways = el("div", { class: "link-ways" });
    const account = accountName(link);
    const first = { text: t("Unlink"), label: t("Unlink {account}", { account }) };
    const sure = { text: t("Unlink now"), label: t("Unlink {account} now", { account }) };
    askTwice(ways, { first, sure, go: () => this.actions.unlink(link) });
    const sign = el("span", { class: "avatar", "aria-hidden": "true" }, icon("chat"));
    return el("li", { class: "link" }, sign, name, ways);
  }
}
