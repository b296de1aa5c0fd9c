/** Markdown of a model as DOM nodes, and the same for text that is still arriving. */

import { copyButton } from "./copy.js";
import { el } from "./dom.js";
import { parseBlocks } from "./markdown_blocks.js";
import { renderInline } from "./markdown_inline.js";
import { clean } from "./text.js";
import { t } from "./words.js";

// A cell with a digit up to this length is one figure, as "26 Nov 2026, 11:19 UTC"; a longer one is a sentence.
const LONGEST_WHOLE_CHARACTERS = 28;

/** The nodes for a whole text. */
export function renderMarkdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...parseBlocks(clean(text).split("\n")).map((block) => renderBlock(block)));
  return fragment;
}

/**
 * Markdown in `container` that follows a growing text.
 *
 * At most once an animation frame the blocks that can still change are parsed again; those before them are never
 * touched, so a selection or a scrolled table in them stays.
 */
export class MarkdownStream {
  #container;
  #text = "";
  #settled = 0; // characters of the cleaned text whose nodes are final
  #tail = []; // {kind, node} of the blocks after those
  #frame = 0;
  #live = true;

  constructor(container) {
    this.#container = container;
  }

  get text() {
    return this.#text;
  }

  append(text) {
    this.#text += text;
    // A hidden tab gets no animation frames; it draws when it is seen again.
    if (this.#live && !this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Show `text` in place of all shown before. */
  replace(text) {
    this.#container.replaceChildren();
    this.#settled = 0;
    this.#tail = [];
    this.#text = "";
    this.append(text);
  }

  /** The text is complete: draw it now, once, from its beginning. */
  finish() {
    cancelAnimationFrame(this.#frame);
    this.#live = false;
    this.#container.replaceChildren(renderMarkdown(this.#text));
  }

  #draw() {
    this.#frame = 0;
    const lines = clean(this.#text).slice(this.#settled).split("\n");
    const blocks = parseBlocks(lines);
    if (!blocks.length) return;
    const shown = blocks.map((block, index) => this.#show(block, index, index === blocks.length - 1));
    const kept = new Set(shown.map(({ node }) => node));
    for (const { node } of this.#tail) if (!kept.has(node)) node.remove();
    this.#container.append(...shown.slice(this.#tail[0]?.node === shown[0].node ? 1 : 0).map(({ node }) => node));
    this.#settle(lines, blocks, shown);
  }

  /** Code, which can be long, grows in place; any other block is made anew. */
  #show(block, index, live) {
    const before = index === 0 ? this.#tail[0] : undefined;
    if (block.kind !== "code" || before?.kind !== "code") {
      return { kind: block.kind, node: renderBlock(block, { live }) };
    }
    before.node.querySelector("code").textContent = block.text;
    return before;
  }

  /** A first line that is still being written may yet join the block before it ("2" becomes "2. next item"). */
  #settle(lines, blocks, shown) {
    const last = blocks.length - 1;
    const first = blocks[last].from === lines.length - 1 ? Math.max(0, last - 1) : last;
    this.#settled += lines.slice(0, blocks[first].from).reduce((sum, line) => sum + line.length + 1, 0);
    this.#tail = shown.slice(first);
  }
}

const RENDERERS = {
  paragraph: (block, options) => el("p", { dir: "auto" }, renderInline(block.text, options)),
  heading: renderHeading,
  rule: () => el("hr"),
  code: renderCode,
  quote: (block) => el("blockquote", {}, ...block.blocks.map((inner) => renderBlock(inner))),
  list: renderList,
  table: renderTable,
};

function renderBlock(block, options = {}) {
  return RENDERERS[block.kind](block, options);
}

/** The page's own headings are the first two levels. */
function renderHeading(block, options) {
  return el(`h${Math.min(block.level + 2, 6)}`, { dir: "auto" }, renderInline(block.text, options));
}

function renderCode(block) {
  const code = el("code", {}, block.text);
  const copy = copyButton(t("Copy code"), () => code.textContent);
  const bar = el("div", { class: "code-bar" }, el("span", {}, block.language), copy);
  return el("div", { class: "code" }, bar, el("pre", { tabindex: "0" }, code));
}

function renderList(block, options) {
  const start = block.ordered && block.start !== 1 ? String(block.start) : null;
  const items = block.items.map((item, index) => renderItem(item, block.tight, {
    live: options.live && index === block.items.length - 1,
  }));
  return el(block.ordered ? "ol" : "ul", { start }, ...items);
}

function renderItem(item, tight, options) {
  const node = el("li", { dir: "auto", class: item.checked === null ? null : "task" });
  if (item.checked !== null) node.append(renderBox(item.checked), " ");
  for (const block of item.blocks) {
    if (tight && block.kind === "paragraph") node.append(renderInline(block.text, options));
    else node.append(renderBlock(block, options));
  }
  return node;
}

function renderBox(checked) {
  return el("span", { class: checked ? "box checked" : "box", role: "img", "aria-label": checked ? t("done") : t("open") });
}

function renderTable(block) {
  const row = (tag, texts) => el("tr", {}, ...texts.map((text, column) => (
    el(tag, { class: cellClass(text, block.align[column]) }, renderInline(text))
  )));
  const head = el("thead", {}, row("th", block.head));
  const body = el("tbody", {}, ...block.rows.map((texts) => row("td", texts)));
  const box = { class: "table", tabindex: "0", role: "group", "aria-label": t("Table") };
  return el("div", box, el("table", {}, head, body));
}

/** Numbers, dates and prices are read whole: a table scrolls before it breaks them. */
function cellClass(text, align) {
  const whole = text.length <= LONGEST_WHOLE_CHARACTERS && /\d/.test(text);
  return [align && `align-${align}`, whole && "whole"].filter(Boolean).join(" ") || null;
}
