/** Something that is done only if the user says yes: what it is, on a readable table, and two buttons. */

import { el } from "./dom.js";
import { wholeDates } from "./markdown_inline.js";
import { clean, shorten } from "./text.js";
import { WaitCard } from "./wait_card.js";
import { locale, t } from "./words.js";

const LONGEST_VALUE = 2000;

/** `frame`: the event `approval`; decide(decision) sends it. */
export function approvalCard(frame, decide) {
  const button = (words, kind, decision) =>
    el("button", { type: "button", class: kind, onclick: () => decide(decision) }, words);
  const controls = [button(t("Approve"), "button", "approve"), button(t("Reject"), "button secondary", "reject")];
  const rows = Object.entries(frame.details ?? {});
  const body = rows.length ? [el("div", { class: "table" }, el("table", {}, el("tbody", {}, ...rows.map(row))))] : [];
  return new WaitCard({
    kind: t("Your approval is needed"),
    past: t("Approval"),
    title: frame.title,
    until: frame.expires_at,
    body,
    controls,
  });
}

function row([name, value]) {
  return el("tr", {}, el("th", { scope: "row", dir: "auto" }, clean(name)), el("td", { dir: "auto" }, ...shown(value)));
}

function shown(value) {
  if (value === null || value === undefined || value === "") return ["–"];
  if (typeof value === "boolean") return [value ? t("yes") : t("no")];
  if (typeof value === "number") return [value.toLocaleString(locale, { maximumFractionDigits: 8 })];
  if (typeof value === "string") return wholeDates(shorten(clean(value), LONGEST_VALUE));
  if (Array.isArray(value) && value.every((item) => typeof item !== "object")) return [clean(value.join(", "))];
  if (isFlat(value)) return [clean(Object.entries(value).map(([name, item]) => `${name}: ${item}`).join(", "))];
  return [el("pre", { tabindex: "0" }, shorten(clean(JSON.stringify(value, null, 2)), LONGEST_VALUE))];
}

function isFlat(value) {
  return !Array.isArray(value) && Object.values(value).every((item) => typeof item !== "object");
}
