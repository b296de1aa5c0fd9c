/** What the agent tells by itself, alerts and tasks: each with the place where it is told, which can be changed, and its end. */

import { askTwice } from "./ask_twice.js";
import { el, icon } from "./dom.js";
import { patch, remove } from "./http.js";
import { clean } from "./text.js";
import { locale, t } from "./words.js";

const WEB = "web";
const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const A_MONDAY = Date.UTC(2026, 0, 5);
const DAY_MS = 86_400_000;
// Of a decimal number as text every digit is shown.
const PRICE = new Intl.NumberFormat(locale, { maximumFractionDigits: 12 });

export class ScheduleDesk {
  #rows = new Map(); // id -> {schedule, node, select}
  #linked = []; // channels

  /** parts: url, label(channel), list (a <ul>), none (shown when there are none), note, spoken. */
  constructor(parts) {
    Object.assign(this, parts);
  }

  start(schedules) {
    for (const schedule of schedules) this.#add(schedule);
    this.#count();
  }

  /** These channels have an account of the user's. */
  linked(channels) {
    // A list that is open closes when it is made anew.
    if (channels.join() === this.#linked.join()) return;
    this.#linked = channels;
    for (const row of this.#rows.values()) this.#offer(row);
  }

  #add(schedule) {
    const id = `told-${schedule.id}`;
    const select = el("select", { id, onchange: () => this.#move(row) });
    const title = titleOf(schedule);
    const place = el("p", { class: "told" }, el("label", { for: id }, t("Told in")), " ", select);
    const name = el("p", { class: "link-name" }, el("strong", { id: `${id}-name`, dir: "auto" }, title), ...about(schedule));
    select.setAttribute("aria-describedby", `${id}-name`);
    const end = el("div", { class: "ask-ways" });
    const row = { schedule, select, node: el("li", { class: "link" }, name, el("div", { class: "link-ways" }, place, end)) };
    const first = { text: t("Delete"), label: t("Delete “{title}”", { title }) };
    const sure = { text: t("Delete now"), label: t("Delete “{title}” now", { title }) };
    askTwice(end, { first, sure, go: () => this.#end(row) });
    this.#rows.set(schedule.id, row);
    this.#offer(row);
    this.list.append(row.node);
  }

  #offer({ schedule, select }) {
    const places = new Set([WEB, ...this.#linked, schedule.channel]);
    select.replaceChildren(...[...places].map((each) => el("option", { value: each }, this.label(each))));
    select.value = schedule.channel;
  }

  #move(row) {
    const { schedule, select } = row;
    return this.#act(async () => {
      row.schedule = await patch(`${this.url}/${schedule.id}`, { channel: select.value });
      this.#say(t("From now on told here: {place}.", { place: this.label(row.schedule.channel) }));
    }, () => this.#offer(row));
  }

  #end({ schedule, node }) {
    return this.#act(async () => {
      await remove(`${this.url}/${schedule.id}`);
      this.#rows.delete(schedule.id);
      const next = node.nextElementSibling ?? node.previousElementSibling;
      node.remove();
      this.#count();
      (next?.querySelector("select") ?? this.none).focus();
      this.#say(t("Deleted: {title}", { title: titleOf(schedule) }));
    });
  }

  /** Do what the user asked for; what goes wrong is said, and `after` shows how things stand. */
  async #act(step, after = () => {}) {
    this.note.hide();
    try {
      await step();
    } catch (error) {
      this.note.complain(error);
    }
    after();
  }

  #count() {
    this.none.hidden = this.#rows.size > 0;
  }

  #say(text) {
    this.spoken.textContent = text;
  }
}

function titleOf({ alert, task }) {
  if (!alert) return clean(task.text);
  const values = { symbol: clean(alert.symbol), level: PRICE.format(alert.level) };
  return alert.direction === "above" ? t("{symbol} above {level}", values) : t("{symbol} below {level}", values);
}

/** When a task is due, and why it is not done or an alert can't be looked at. */
function about({ task, state, reason }) {
  const why = clean(t(reason));
  const rests = state === "paused" ? t("Paused: {reason}", { reason: why }) : why;
  const lines = [task && whenOf(task), rests && [icon("info"), rests]].filter(Boolean);
  return lines.map((line) => el("span", {}, ...[line].flat()));
}

function whenOf({ every, day, at, time_zone: zone }) {
  const values = { at, zone: clean(zone), day: nameOf(day) };
  if (every === "daily") return t("Every day at {at} ({zone})", values);
  return every === "weekly" ? t("Every {day} at {at} ({zone})", values) : t("Monday to Friday at {at} ({zone})", values);
}

function nameOf(day) {
  const moment = new Date(A_MONDAY + DAYS.indexOf(day) * DAY_MS);
  return moment.toLocaleDateString(locale, { weekday: "long", timeZone: "UTC" });
}
