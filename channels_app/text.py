"""Cut rendered text into messages that a channel accepts: what is open at a cut is closed there and opened again after it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape, unescape
from itertools import accumulate

MIN_LIMIT = 64
_PIECE = re.compile(r"<[^>]*>|[^<]+")


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag before the character at `offset`."""

    offset: int
    html: str

    @property
    def closes(self) -> bool:
        return self.html.startswith("</")

    @property
    def end(self) -> str:
        return f"</{self.html.strip('<>').split()[0]}>"


@dataclass(frozen=True, slots=True)
class _Block:
    """Preformatted text; the lines up to `body` are a table's head."""

    start: int
    body: int
    end: int


def utf16_units(text: str) -> int:
    """The length of `text` as chat platforms count it, in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def split_html(html: str, *, limit: int) -> Iterator[str]:
    """Yield parts that show at most `limit` UTF-16 units each, cut at a paragraph, line or space.

    `html` is balanced. Tags that are open at a cut are closed, and opened again in the next part; a table's head is repeated
    (a table is a `pre` without `code`). Joined parts show every character. Raises ValueError for a limit under 64.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"A limit is {MIN_LIMIT} units at least.")
    return _Cutter(html).parts(limit)


class _Cutter:
    """One text, without its tags, and where they stand."""

    def __init__(self, html: str) -> None:
        pieces: list[str] = []
        tags: list[_Tag] = []
        offset = 0
        for piece in _PIECE.findall(html):
            if piece.startswith("<"):
                tags.append(_Tag(offset, piece))
            else:
                pieces.append(unescape(piece))
                offset += len(pieces[-1])
        self._text = "".join(pieces)
        self._blocks = list(_blocks(self._text, tags))
        self._tags = tags[::-1]
        self._open: list[_Tag] = []

    def parts(self, limit: int) -> Iterator[str]:
        start = 0
        while start < len(self._text):
            head = self._head(start, limit // 4)
            end = self._cut(start, limit - utf16_units(head))
            yield self._part(start, end, head=head)
            start = end

    def _part(self, start: int, end: int, *, head: str) -> str:
        pieces = [tag.html for tag in self._open]
        pieces.append(escape(head, quote=False))
        while self._tags and self._belongs(self._tags[-1], end):
            tag = self._tags.pop()
            pieces += [escape(self._text[start : tag.offset], quote=False), tag.html]
            start = tag.offset
            if tag.closes:
                self._open.pop()
            else:
                self._open.append(tag)
        pieces.append(escape(self._text[start:end], quote=False))
        pieces += [tag.end for tag in reversed(self._open)]
        return "".join(pieces)

    def _belongs(self, tag: _Tag, end: int) -> bool:
        """Whether a tag stands in the part before `end`; one that opens there is the next part's."""
        return tag.offset < end or (tag.offset == end and (tag.closes or end == len(self._text)))

    def _block_around(self, position: int) -> _Block | None:
        return next((block for block in self._blocks if block.start < position < block.end), None)

    def _head(self, start: int, room: int) -> str:
        """The head of the table that goes on at `start`; "" when there is none, or it would fill the part."""
        block = self._block_around(start)
        if block is None or start < block.body:
            return ""
        head = self._text[block.start : block.body]
        return head if utf16_units(head) <= room else ""

    def _cut(self, start: int, room: int) -> int:
        """Where the part from `start` ends, so that it has at most `room` UTF-16 units."""
        full = start + _fitting(self._text[start : start + room], room)
        if full == len(self._text):
            return full
        # A cut in the first half would make many small messages.
        middle = start + (full - start) // 2
        for end in (self._paragraph(middle, full), self._after("\n", middle, full), self._after(" ", middle, full)):
            if end > middle:
                return end
        return full

    def _after(self, mark: str, start: int, end: int) -> int:
        """The end of the last `mark` of a stretch; 0 = none."""
        found = self._text.rfind(mark, start, end)
        return found + len(mark) if found >= 0 else 0

    def _paragraph(self, start: int, end: int) -> int:
        """The last end of a paragraph that lies outside of preformatted text; 0 = none."""
        while end > start:
            end = self._after("\n\n", start, end)
            block = self._block_around(end)
            if block is None:
                return end
            end = block.start
        return 0


def _blocks(text: str, tags: list[_Tag]) -> Iterator[_Block]:
    start, is_table = 0, False
    for tag in tags:
        if tag.html == "<pre>":
            start, is_table = tag.offset, True
        elif tag.html.startswith("<code"):
            is_table = False
        elif tag.html == "</pre>":
            head = text[start : tag.offset].split("\n", 2)[:2] if is_table else []
            yield _Block(start, start + sum(len(line) + 1 for line in head), tag.offset)


def _fitting(text: str, room: int) -> int:
    """The longest beginning of `text` that has at most `room` units, in characters."""
    if text.isascii():
        return len(text)
    ends = accumulate(utf16_units(character) for character in text)
    return sum(end <= room for end in ends)
