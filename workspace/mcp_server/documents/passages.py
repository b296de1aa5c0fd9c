"""Cutting a document's text into passages that are found and read one by one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# A passage says one thing whole and ten of them fit in a prompt; what it repeats of the one before keeps a sentence
# that was cut findable.
PASSAGE_CHARACTERS = 1000
OVERLAP_CHARACTERS = 200

# No piece is longer, so that there is one to repeat.
PIECE_CHARACTERS = OVERLAP_CHARACTERS

# A heading begins a new passage unless that would leave one of a few words.
SHORT_PASSAGE = 300

# Of a CSV file's heading, what is repeated in each passage.
HEAD_CHARACTERS = 400

# The type of a text is seen from its beginning; a longer look would only take longer.
BEGINNING_CHARACTERS, LINE_CHARACTERS = 20_000, 2000

SENTENCE_END = re.compile(r"(?<=[.!?。])\s+|\n")
HEADING = re.compile(r"#{1,6} ")
MARKDOWN = re.compile(
    r"^#{1,6} \S|^```|^[-*] \S|^\|.{0,400}\|$|\[[^\]\n]{1,200}\]\([^)\n]{1,400}\)|\*\*\S", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document, from `line` (from 1) on; of a PDF it is the line of its `page` (from 1)."""

    text: str
    line: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence or a few, with what stands between it and the piece before."""

    text: str
    line: int
    page: int | None
    gap: str


def cut_text(text: str) -> list[Passage]:
    """Passages of plain text or Markdown, cut between paragraphs where possible."""
    return list(_windows(list(_pieces(text, page=None))))


def cut_pages(pages: Sequence[str]) -> list[Passage]:
    """Passages of a PDF's pages, none across two of them: each tells where to look."""
    return [found for number, text in enumerate(pages, 1) for found in _windows(list(_pieces(text, page=number)))]


def cut_rows(text: str) -> list[Passage]:
    """Passages of a CSV file: whole rows where they are not too long, each passage with the heading before them."""
    first, *rows = text.split("\n")
    head = first[:HEAD_CHARACTERS]
    found: list[Passage] = []
    block: list[str] = []
    start = 1
    for number, row in _rows(rows):
        if block and len(head) + sum(map(len, block)) + len(row) > PASSAGE_CHARACTERS:
            found.append(Passage("\n".join([head, *block]), start))
            block = []
        if not block:
            start = number
        block.append(row)
    return [*found, Passage("\n".join([head, *block]), start)]


def delimiter_of(text: str) -> str | None:
    """The character between the columns if every one of the first lines has the same two columns or more."""
    lines = [line[:LINE_CHARACTERS] for line in text[:BEGINNING_CHARACTERS].split("\n")[:20]]
    for delimiter in ",;\t":
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        widths = {len(row) for row in rows}
        if len(rows) > 1 and len(widths) == 1 and max(widths) > 1 and all(len(cell) < 64 for cell in rows[0]):
            return delimiter
    return None


def is_markdown(text: str) -> bool:
    """Whether the beginning of the text uses Markdown's signs."""
    return MARKDOWN.search(text[:BEGINNING_CHARACTERS]) is not None


def _rows(rows: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Rows with their line numbers; one that fills a passage by itself comes in parts."""
    for number, row in enumerate(rows, 2):
        for start in range(0, len(row), PASSAGE_CHARACTERS):
            yield number, row[start : start + PASSAGE_CHARACTERS]


def _pieces(text: str, *, page: int | None) -> Iterator[Piece]:
    line, gap = 1, "\n\n"
    for paragraph in re.split(r"(\n[ \t]*\n\s*)", text):
        if paragraph.strip():
            offset = line + paragraph[: len(paragraph) - len(paragraph.lstrip())].count("\n")
            for part, at in _parts(paragraph.strip()):
                yield Piece(part, offset + at, page, gap)
                gap = " "
            gap = "\n\n"
        line += paragraph.count("\n")


def _parts(paragraph: str) -> Iterator[tuple[str, int]]:
    """The paragraph in parts of bounded length, each with the number of lines before it."""
    start = lines = 0
    while start < len(paragraph):
        end = _end_of_part(paragraph, start)
        part = paragraph[start:end].strip()
        if part:
            yield part, lines
        lines += paragraph.count("\n", start, end)
        start = end


def _end_of_part(paragraph: str, start: int) -> int:
    """Where the part that begins at `start` ends: after a sentence, else after a word, else anywhere."""
    limit = start + PIECE_CHARACTERS
    if limit >= len(paragraph):
        return len(paragraph)
    ends = [match.end() for match in SENTENCE_END.finditer(paragraph, start + 1, limit)]
    space = paragraph.rfind(" ", start + 1, limit)
    return ends[-1] if ends else space + 1 if space > start else limit


def _windows(pieces: Sequence[Piece]) -> Iterator[Passage]:
    window: list[Piece] = []
    fresh = False
    for piece in pieces:
        size = sum(len(each.text) for each in window)
        breaks = HEADING.match(piece.text) and size >= SHORT_PASSAGE
        if fresh and (breaks or size + len(piece.text) > PASSAGE_CHARACTERS):
            yield _passage(window)
            window = [] if breaks else _overlap(window)
        window.append(piece)
        fresh = True
    if fresh:
        yield _passage(window)


def _overlap(window: Sequence[Piece]) -> list[Piece]:
    """The last pieces that are short enough to be repeated."""
    kept: list[Piece] = []
    for piece in reversed(window):
        if sum(len(each.text) for each in kept) + len(piece.text) > OVERLAP_CHARACTERS:
            break
        kept.append(piece)
    return kept[::-1]


def _passage(window: Iterable[Piece]) -> Passage:
    first, *rest = window
    return Passage(first.text + "".join(piece.gap + piece.text for piece in rest), first.line, first.page)
