/**
 * Lines to blocks: pure, no DOM.
 *
 * A block is one of
 *   {kind: "paragraph", text} · {kind: "heading", level, text} · {kind: "code", language, text} · {kind: "rule"} ·
 *   {kind: "quote", blocks} · {kind: "list", ordered, start, tight, items: [{blocks, checked: bool | null}]} ·
 *   {kind: "table", align: ["left" | "right" | "center" | ""], head: [text], rows: [[text]]}
 * each with `from`, the index of its first line. No block's meaning depends on what stands before its first line, so
 * a growing text is parsed again from its last block only.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+•]|\d{1,9}[.)])(?:[ ]+(.*)|)$/;
const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const TASK = /^\[([ xX])\][ ]+/;
// Deeper quotes and lists than a person would write become text; bounds the recursion.
const DEEPEST = 8;
// Columns past this are dropped: a row of bars is no table.
const MOST_COLUMNS = 40;

/** The blocks of `lines`, first to last. */
export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at++;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    blocks.push({ ...block, from: at });
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  if (FENCE.test(line)) return readCode(lines, at);
  if (HEADING.test(line)) return [readHeading(line), at + 1];
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  return readParagraph(lines, at);
}

function isBlank(line) {
  return line.trim() === "";
}

function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

/** A paragraph is broken by an item only if the item has text, and by a number only if it counts from one. */
function startsItem(line) {
  const item = ITEM.exec(line);
  return Boolean(item && item[3] && (!/\d/.test(item[2]) || parseInt(item[2], 10) === 1));
}

function readHeading(line) {
  const [, marks, text] = HEADING.exec(line);
  return { kind: "heading", level: marks.length, text: (text ?? "").trim() };
}

function readCode(lines, at) {
  const [, fence, info] = FENCE.exec(lines[at]);
  const indent = /^ */.exec(lines[at])[0].length;
  const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end++;
  const body = lines.slice(at + 1, end).map((line) => dedent(line, indent));
  return [{ kind: "code", language: info.trim().split(/\s+/)[0], text: body.join("\n") }, end + 1];
}

function dedent(line, columns) {
  let at = 0;
  while (at < columns && line[at] === " ") at++;
  return line.slice(at);
}

function readQuote(lines, at, depth) {
  let end = at;
  while (end < lines.length && !isBlank(lines[end]) && (QUOTE.test(lines[end]) || !startsBlock(lines[end]))) end++;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [{ kind: "quote", blocks: parseBlocks(inner, depth + 1) }, end];
}

function readParagraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && !breaksParagraph(lines, end)) end++;
  const text = lines.slice(at, end).map((line) => line.trim()).join("\n");
  return [{ kind: "paragraph", text }, end];
}

function breaksParagraph(lines, at) {
  return isBlank(lines[at]) || startsBlock(lines[at]) || startsItem(lines[at]) || isTable(lines, at);
}

function readList(lines, at, depth) {
  const [, margin, marker] = ITEM.exec(lines[at]);
  const list = { kind: "list", ordered: /\d/.test(marker), start: parseInt(marker, 10) || 0, tight: true, items: [] };
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || RULE.test(lines[next]) || !sameList(item, list.ordered, margin.length)) break;
    const [end, body] = readItem(lines, next, item);
    list.items.push(makeItem(body, depth));
    const after = skipBlank(lines, end);
    if (body.loose || (after > end && continues(lines[after], list.ordered, margin.length))) list.tight = false;
    next = after;
  }
  return [list, next];
}

function continues(line, ordered, margin) {
  const item = line === undefined ? null : ITEM.exec(line);
  return Boolean(item && !RULE.test(line) && sameList(item, ordered, margin));
}

/** Models indent by one to three spaces at will: an item belongs to the list unless it stands further left. */
function sameList(item, ordered, margin) {
  return /\d/.test(item[2]) === ordered && item[1].length >= margin - 1 && item[1].length <= margin + 3;
}

function skipBlank(lines, at) {
  while (at < lines.length && isBlank(lines[at])) at++;
  return at;
}

/** The lines of one item without its margin, and the index after them. */
function readItem(lines, at, [, margin, marker, first = ""]) {
  // Two columns are enough to nest: models write "1. a" and indent its children by two or three spaces.
  const inner = margin.length + Math.min(marker.length + 1, 2);
  const body = { lines: [first], loose: false };
  let end = at + 1;
  while (end < lines.length) {
    const next = skipBlank(lines, end);
    const blank = next > end;
    if (next >= lines.length || !belongs(lines[next], inner, blank)) break;
    if (blank) body.lines.push("");
    body.loose ||= blank && !ITEM.test(lines[next]);
    body.lines.push(dedent(lines[next], margin.length + marker.length + 1));
    end = next + 1;
  }
  return [end, body];
}

function belongs(line, inner, afterBlank) {
  if (/^ */.exec(line)[0].length >= inner) return true;
  return !afterBlank && !startsBlock(line) && !ITEM.test(line);
}

function makeItem(body, depth) {
  const task = TASK.exec(body.lines[0]);
  if (task) body.lines[0] = body.lines[0].slice(task[0].length);
  return { blocks: parseBlocks(body.lines, depth + 1), checked: task ? task[1] !== " " : null };
}

function isTable(lines, at) {
  const delimiter = lines[at + 1];
  if (!lines[at].includes("|") || delimiter === undefined || !DELIMITER.test(delimiter)) return false;
  return cells(lines[at]).length === cells(delimiter).length;
}

function readTable(lines, at) {
  const head = cells(lines[at]);
  const align = cells(lines[at + 1]).map(alignment);
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && !isBlank(lines[end])) end++;
  const rows = lines.slice(at + 2, end).map((line) => head.map((_, column) => cells(line)[column] ?? ""));
  return [{ kind: "table", align, head, rows }, end];
}

function alignment(cell) {
  if (/^:-+:$/.test(cell)) return "center";
  if (/^-+:$/.test(cell)) return "right";
  return cell.startsWith(":") ? "left" : "";
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  const parts = inner.split(/(?<!\\)\|/).slice(0, MOST_COLUMNS);
  return parts.map((cell) => cell.trim().replace(/\\\|/g, "|"));
}
