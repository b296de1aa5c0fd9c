"""Cut a long answer into messages that a channel accepts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

# A fence that is tracked has at most 8 marks and 12 characters of language, so that it always fits beside some text.
MAX_MARKS = 8
MAX_LANGUAGE_CHARS = 12
MIN_LIMIT = 64
# CommonMark 0.31, section 4.5: three or more marks, at most three spaces before them, no backtick after backticks.
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,8}|~{3,8})(?P<info>[^`\n]*)$")
_CLOSING_UNITS = 1 + MAX_MARKS
_LANGUAGE = re.compile(rf"[\w+#.-]{{1,{MAX_LANGUAGE_CHARS}}}(?=\s|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code fence: its marks and language."""

    marks: str
    language: str = ""

    def closed_by(self, line: str) -> bool:
        """Whether a line ends the code."""
        found = _FENCE.match(line)
        return found is not None and found["marks"].startswith(self.marks) and not found["info"].strip()


def utf16_units(text: str) -> int:
    """The length of `text` as chat platforms count it, in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def split_text(text: str, *, limit: int) -> Iterator[str]:
    """Yield parts of at most `limit` UTF-16 units, cut at a paragraph, line or space.

    A part never ends inside a code fence: the fence is closed and opened again in the next part. Joined parts, without the
    fences that were added, hold every character of `text`. Raises ValueError for a limit under 64.
    """
    for opening, piece, closing in split_pieces(text, limit=limit):
        yield opening + piece + closing


def split_pieces(text: str, *, limit: int) -> Iterator[tuple[str, str, str]]:
    """The parts of `split_text` as (fence that was added before, piece of `text`, fence that was added after)."""
    if limit < MIN_LIMIT:
        raise ValueError(f"A limit is {MIN_LIMIT} units at least.")
    fence: Fence | None = None
    while text:
        opening = f"{fence.marks}{fence.language}\n" if fence else ""
        room = limit - len(opening)
        whole = utf16_units(text) <= room and _fence_after(text, fence) is None
        piece = text if whole else text[: _cut(text, fence, room - _CLOSING_UNITS)]
        fence, text = _fence_after(piece, fence), text[len(piece) :]
        yield opening, piece, _closing(piece, fence)


def _closing(piece: str, fence: Fence | None) -> str:
    if fence is None:
        return ""
    return fence.marks if piece.endswith("\n") else f"\n{fence.marks}"


def _fence_after(text: str, fence: Fence | None) -> Fence | None:
    """The fence that is open at the end of `text`, which begins inside `fence`."""
    for line in text.split("\n"):
        fence = _next_fence(line, fence)
    return fence


def _next_fence(line: str, fence: Fence | None) -> Fence | None:
    if fence is not None:
        return None if fence.closed_by(line) else fence
    found = _FENCE.match(line)
    if found is None:
        return None
    language = _LANGUAGE.match(found["info"].strip())
    return Fence(found["marks"], language[0] if language else "")


def _cut(text: str, fence: Fence | None, room: int) -> int:
    """How many characters of `text` to take so that they have at most `room` UTF-16 units."""
    fitting = _fitting(text, room)
    if fitting == len(text):
        return fitting
    head = text[:fitting]
    for index in (_between_paragraphs(head, fence), head.rfind("\n") + 1, head.rfind(" ") + 1):
        # A cut in the first half would make many small messages.
        if index > fitting // 2:
            return index
    return fitting


def _fitting(text: str, room: int) -> int:
    """The longest beginning of `text` that has at most `room` units, in characters."""
    head = text[:room]
    if head.isascii():
        return len(head)
    ends = accumulate(utf16_units(character) for character in head)
    return sum(end <= room for end in ends)


def _between_paragraphs(head: str, fence: Fence | None) -> int:
    """The end of the last blank line, or of the last line before a fence, that lies outside of code; 0 = none."""
    best = position = 0
    lines = head.split("\n")
    for line in lines[:-1]:
        before, fence = fence, _next_fence(line, fence)
        if before is None and fence is not None:
            best = position
        position += len(line) + 1
        if fence is None and (before is not None or not line.strip()):
            best = position
    return best
