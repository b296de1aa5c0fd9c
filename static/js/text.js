/** Text as people may safely see it. */

import { decimal, t } from "./words.js";

// Terminal colour codes that tools leave in their output (ECMA-48 control sequences).
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;

// Characters that change what is seen without being seen: C0 and C1 controls except tab and newline, zero-width
// space and joiner-less marks, bidirectional overrides and isolates (Unicode TR36 section 2.3, "Trojan Source"),
// halves of surrogate pairs, and the tag block. ZWJ and ZWNJ stay: emoji and Persian need them. LRM and RLM stay: they only nudge neutrals.
const UNSEEN = new RegExp(
  "[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u200b\\u202a-\\u202e"
    + "\\u2060-\\u206f\\ud800-\\udfff\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]",
  "gu",
);

/** `text` without terminal codes, control characters and invisible or direction-changing characters. */
export function clean(text) {
  return String(text).replace(/\r\n?/g, "\n").replace(ANSI, "").replace(UNSEEN, "");
}

/** `text` cut to `limit` characters at most, with an ellipsis when something was left out. */
export function shorten(text, limit) {
  const points = Array.from(text.length > limit * 2 ? text.slice(0, limit * 2) : text);
  return points.length > limit ? `${points.slice(0, limit - 1).join("")}…` : text;
}

/** A tool's name for people: "compute_indicators" is "Compute indicators". */
export function toolLabel(name) {
  const words = clean(name).split(/[_\s.]+/).filter(Boolean).join(" ");
  return words ? words[0].toUpperCase() + words.slice(1) : t("Tool");
}

/** JSON laid out over lines; any other text as it is. */
export function laidOut(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    if (error instanceof SyntaxError) return text; // only looked like JSON, or was cut short
    throw error;
  }
}

/** The values of a tool's arguments on one line: {symbol: "SPX", limit: 252} is "SPX · 252". */
export function argumentLine(values) {
  return shorten(flatValues(values).map((value) => clean(String(value))).join(" · "), 80);
}

function flatValues(value) {
  if (value === null || value === undefined || value === "") return [];
  if (Array.isArray(value)) return value.slice(0, 8).flatMap(flatValues);
  if (typeof value === "object") return Object.values(value).slice(0, 8).flatMap(flatValues);
  return [value];
}

/** Milliseconds for people: "84 ms", "1.4 s", "2 min 05 s". */
export function duration(ms) {
  if (ms < 1000) return t("{count} ms", { count: Math.round(ms) });
  if (ms < 60_000) return t("{count} s", { count: decimal(ms / 1000, 1) });
  const seconds = Math.round(ms / 1000);
  const parts = { minutes: Math.floor(seconds / 60), seconds: String(seconds % 60).padStart(2, "0") };
  return t("{minutes} min {seconds} s", parts);
}

/** When a UUIDv7 was made (RFC 9562: its first 48 bits are Unix milliseconds), or null for any other id. */
export function timeOfId(id) {
  const match = /^([0-9a-f]{8})-([0-9a-f]{4})-7/i.exec(id);
  return match ? new Date(parseInt(match[1] + match[2], 16)) : null;
}
