/**
 * Words inside a block: emphasis, code, links and line breaks as DOM nodes.
 *
 * Text of a model is hostile. Nothing here reads HTML; a tag is shown as the characters it is made of. Each failed
 * search for a closing mark is remembered, so that the work stays linear in the text however it was built.
 */

import { el } from "./dom.js";
import { safeLink } from "./links.js";

const ESCAPABLE = /[\\`*_{}#+\-.!|~<>]/;
const WORD = /[\p{L}\p{N}_]/u;
const BARE_LINK = /https?:\/\/[^\s<>"'`|]+/iy;
const ANGLE_LINK = /<(https?:\/\/[^\s<>]+)>/iy;
const BREAK = /<br\s*\/?>/iy;
// One level of brackets in the address, as encyclopedias have; an optional title is read over.
const DESTINATION = /\(\s*<?((?:[^\s()<>]|\([^\s()<>]*\))*)>?(?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)/y;
// Chromium breaks a line at the hyphens of a date. The group keeps the dates among what `split` gives: the odd parts.
const ISO_DATE = /\b(\d{4}-\d{2}-\d{2})\b/;
const MARKS = { 1: "em", 2: "strong" };
// Deeper nesting than a person would write is shown as text; bounds the recursion.
const DEEPEST = 8;

/** A fragment for `text`. `live`: the text still grows, so an open `**` or backtick holds until the end. */
export function renderInline(text, { live = false } = {}) {
  return new InlineParser(text, live, 0).parse();
}

class InlineParser {
  constructor(text, live, depth) {
    Object.assign(this, { text, live, depth, at: 0, plain: "", missing: new Set() });
    this.out = document.createDocumentFragment();
  }

  parse() {
    while (this.at < this.text.length) {
      if (!this.special(this.text[this.at])) this.plain += this.text[this.at++];
    }
    this.flush();
    return this.out;
  }

  special(character) {
    switch (character) {
      case "\n": return this.add(el("br"), 1);
      case "\\": return this.escape();
      case "`": return this.code();
      case "*": case "_": case "~": return this.emphasis(character);
      case "!": return this.text[this.at + 1] === "[" && this.link(1);
      case "[": return this.link(0);
      case "<": return this.angle();
      case "h": case "H": return this.bareLink();
      default: return false;
    }
  }

  /** Put `node` out after the text before it, and step over `length` characters. */
  add(node, length) {
    this.flush();
    this.out.append(node);
    this.at += length;
    return true;
  }

  flush() {
    if (this.plain) this.out.append(...wholeDates(this.plain));
    this.plain = "";
  }

  inner(text) {
    return new InlineParser(text, this.live, this.depth + 1).parse();
  }

  match(pattern, at) {
    pattern.lastIndex = at;
    return pattern.exec(this.text);
  }

  /** Where `mark` stands next from `from` on, or -1; a miss is remembered under `mark`. */
  find(mark, from) {
    if (this.missing.has(mark)) return -1;
    const found = this.text.indexOf(mark, from);
    if (found < 0) this.missing.add(mark);
    return found;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (!next || !ESCAPABLE.test(next)) return false;
    this.plain += next;
    this.at += 2;
    return true;
  }

  code() {
    const ticks = /`+/y;
    const fence = this.match(ticks, this.at)[0];
    const start = this.at + fence.length;
    const end = this.closingTicks(fence, start);
    if (end < 0 && !(this.live && start < this.text.length)) {
      this.plain += fence;
      this.at = start;
      return true;
    }
    const stop = end < 0 ? this.text.length : end;
    const body = this.text.slice(start, stop).replace(/\n/g, " ").replace(/^ (.*\S.*) $/, "$1");
    return this.add(el("code", {}, body), stop + (end < 0 ? 0 : fence.length) - this.at);
  }

  closingTicks(fence, from) {
    if (this.missing.has(fence)) return -1;
    const runs = /`+/g;
    runs.lastIndex = from;
    for (let run = runs.exec(this.text); run; run = runs.exec(this.text)) {
      if (run[0].length === fence.length) return run.index;
    }
    this.missing.add(fence);
    return -1;
  }

  emphasis(character) {
    let size = 1;
    while (size < 4 && this.text[this.at + size] === character) size++;
    const start = this.at + size;
    if (!this.opens(character, size, start)) return this.literal(size);
    const end = this.closer(character, size, start);
    if (end >= 0) return this.add(this.wrapped(character, size, this.text.slice(start, end)), end + size - this.at);
    if (!(this.live && size === 2 && character === "*")) return this.literal(size);
    return this.add(this.wrapped(character, size, this.text.slice(start)), this.text.length - this.at);
  }

  literal(size) {
    this.plain += this.text.slice(this.at, this.at + size);
    this.at += size;
    return true;
  }

  opens(character, size, start) {
    if (size > 3 || this.depth >= DEEPEST || (character === "~" && size !== 2)) return false;
    if (start >= this.text.length || /\s/.test(this.text[start])) return false;
    return character !== "_" || !WORD.test(this.text[this.at - 1] ?? " ");
  }

  /** Index of the run of exactly `size` marks that closes, right after a non-space, or -1. */
  closer(character, size, from) {
    const mark = character.repeat(size);
    if (this.missing.has(mark)) return -1;
    for (let at = from; at < this.text.length; at++) {
      const here = this.text[at];
      if (here === "\\") at++;
      else if (here === "`") at = this.overCode(at);
      else if (here === character) {
        const end = this.runEnd(character, at);
        if (end - at === size && this.closes(character, at, end)) return at;
        at = end - 1;
      }
    }
    this.missing.add(mark);
    return -1;
  }

  closes(character, at, end) {
    return !/\s/.test(this.text[at - 1]) && (character !== "_" || !WORD.test(this.text[end] ?? " "));
  }

  runEnd(character, at) {
    while (this.text[at] === character) at++;
    return at;
  }

  /** The last index of the code span that begins at `at`, or of its backticks when it is none. */
  overCode(at) {
    const start = this.runEnd("`", at);
    const fence = this.text.slice(at, start);
    const end = this.closingTicks(fence, start);
    return end < 0 ? start - 1 : end + fence.length - 1;
  }

  wrapped(character, size, body) {
    if (character === "~") return el("del", {}, this.inner(body));
    if (size === 3) return el("strong", {}, el("em", {}, this.inner(body)));
    return el(MARKS[size], {}, this.inner(body));
  }

  /** A link, or with `bang` = 1 an image, which becomes a link: pictures in text would tell strangers who reads it. */
  link(bang) {
    const start = this.at + bang + 1;
    const end = this.closingBracket(start);
    if (end < 0) return false;
    const label = this.text.slice(start, end);
    const destination = this.match(DESTINATION, end + 1);
    if (!destination) return this.openLink(label, end);
    const href = safeLink(destination[1]);
    const body = this.depth < DEEPEST ? unlinked(this.inner(label)) : label;
    // The pattern's own place is another by now: a label is searched for destinations, too.
    const length = destination.index + destination[0].length - this.at;
    return this.add(href ? anchor(href, named(body, href), label) : el("span", {}, body), length);
  }

  closingBracket(from) {
    const near = this.find("]", from);
    if (near < 0) return -1;
    let open = 1;
    // A label is short; the bound keeps rows of brackets from costing their square.
    for (let at = from; at < Math.min(this.text.length, from + 1000); at++) {
      if (this.text[at] === "[") open++;
      else if (this.text[at] === "]" && --open === 0) return at;
      else if (this.text[at] === "\\") at++;
    }
    return -1;
  }

  /** While an address is still being written, its label alone is shown. */
  openLink(label, end) {
    if (!this.live || !/^\([^)\s]*$/.test(this.text.slice(end + 1, end + 2001))) return false;
    return this.add(el("span", {}, label), this.text.length - this.at);
  }

  angle() {
    const link = this.match(ANGLE_LINK, this.at);
    if (link) return this.addLink(link[1], link[0].length);
    const line = this.match(BREAK, this.at);
    return line ? this.add(el("br"), line[0].length) : false;
  }

  bareLink() {
    if (WORD.test(this.text[this.at - 1] ?? " ")) return false;
    const link = this.match(BARE_LINK, this.at);
    if (!link) return false;
    const address = withoutTrail(link[0]);
    return this.addLink(address, address.length);
  }

  addLink(address, length) {
    const href = safeLink(address);
    return href ? this.add(anchor(href, address, address), length) : false;
  }
}

/** Punctuation after a bare address belongs to the sentence; a closing bracket does unless the address opened one. */
function withoutTrail(address) {
  const bare = address.replace(/[.,:;!?*_~\]]+$/, "");
  return bare.endsWith(")") && !bare.includes("(") ? withoutTrail(bare.slice(0, -1)) : bare;
}

function anchor(href, body, label) {
  const attributes = { href, rel: "noopener noreferrer", target: "_blank" };
  return el("a", label === href ? attributes : { ...attributes, title: href }, body);
}

/** `body`, or `href` in its place where nothing of it would be seen or read out. */
function named(body, href) {
  return (body.textContent ?? body).trim() ? body : href;
}

/** Links in a link's label would nest, which browsers undo by guessing. */
function unlinked(fragment) {
  for (const inner of fragment.querySelectorAll("a")) inner.replaceWith(...inner.childNodes);
  return fragment;
}

/** The nodes for plain `text` in which no date is broken. */
export function wholeDates(text) {
  return text.split(ISO_DATE).map((part, index) => (index % 2 ? el("span", { class: "whole" }, part) : part));
}
