"""A model's markdown in the markup of a platform that takes text with signs in it, cut into messages that it accepts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape, unescape

from channels_app.richtext import telegram_html, visible_text
from channels_app.text import MIN_LIMIT, split_html, utf16_units

_PIECE = re.compile(r"<[^>]*>|[^<]+")
_LANGUAGE = re.compile(r'class="language-([^"]*)"')
_HREF = re.compile(r'href="([^"]*)"')
_EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)
# Between two characters it keeps them apart, and nobody sees it.
UNSEEN = "\u200b"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a platform writes what a model's markdown may hold.

    `signs` stand on both sides of b, i and s. `escape` makes text that holds no markup, `escape_code` the same within code;
    `link` is given text in the platform's markup, and an address. `languages`: a fence may name its language.
    """

    signs: dict[str, str]
    escape: Callable[[str], str]
    escape_code: Callable[[str], str]
    link: Callable[[str, str], str]
    languages: bool = False


def messages(markdown: str, dialect: Dialect, *, limit: int) -> list[str]:
    """The text as messages of at most `limit` UTF-16 units each, markup included; none for a blank one."""
    if not markdown.strip():
        return []
    # Words that make no text, such as a link's definition alone, are shown as they were written.
    for html in (telegram_html(markdown), escape(markdown, quote=False)):
        found = [text for text in _fitting(html, dialect, limit=limit, size=limit * 9 // 10) if text.strip()]
        if found:
            return found
    return []


def render(html: str, dialect: Dialect) -> str:
    """The HTML of richtext.py in the platform's markup."""
    writer = _Writer(dialect)
    for piece in _PIECE.findall(html):
        if piece.startswith("</"):
            writer.close()
        elif piece.startswith("<"):
            writer.open(piece)
        else:
            writer.text(unescape(piece))
    return writer.result()


def _fitting(html: str, dialect: Dialect, *, limit: int, size: int) -> Iterator[str]:
    """Messages within the limit: where the markup takes too much, the text is cut into smaller ones."""
    for part in split_html(html, limit=size):
        text = render(part, dialect)
        if utf16_units(text) <= limit:
            yield text
        elif size > MIN_LIMIT:
            yield from _fitting(part, dialect, limit=limit, size=max(size // 2, MIN_LIMIT))
        else:
            # An address that is longer than a message.
            yield dialect.escape(visible_text(part))[:limit]


@dataclass(slots=True)
class _Element:
    """An element that is open, and what was written in it so far."""

    name: str
    tag: str
    written: list[str] = field(default_factory=list)


class _Writer:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._open = [_Element("", "")]

    def text(self, text: str) -> None:
        in_code = any(element.name in {"code", "pre"} for element in self._open)
        self._write(self._dialect.escape_code(text) if in_code else self._dialect.escape(text))

    def open(self, tag: str) -> None:
        self._open.append(_Element(tag.strip("<>").split()[0], tag))

    def close(self) -> None:
        element = self._open.pop()
        self._write(self._closed(element, "".join(element.written)))

    def result(self) -> str:
        return "".join(self._open[0].written).strip("\n")

    def _write(self, text: str) -> None:
        self._open[-1].written.append(text)

    def _closed(self, element: _Element, inner: str) -> str:
        if element.name == "pre":
            return f"```{inner}\n```"
        if element.name == "code":
            return self._code(element, inner)
        if element.name == "blockquote":
            return "\n".join(f"> {line}" for line in inner.strip("\n").split("\n"))
        if element.name == "a":
            address = _HREF.search(element.tag)
            return self._dialect.link(inner, unescape(address[1])) if address and inner.strip() else inner
        return _signed(inner, self._dialect.signs.get(element.name, ""))

    def _code(self, element: _Element, inner: str) -> str:
        if self._open[-1].name == "pre":
            language = _LANGUAGE.search(element.tag) if self._dialect.languages else None
            return f"{language[1] if language else ''}\n{inner}"
        return f"`{inner}`" if inner.strip() else inner


def _signed(text: str, sign: str) -> str:
    """Signs on both sides of each line's words: they mean nothing beside a space, or over several lines."""
    lines = []
    for line in text.split("\n"):
        edges = _EDGES.fullmatch(line)
        before, words, after = edges.groups() if edges else ("", line, "")
        lines.append(f"{before}{sign}{words}{sign}{after}" if words else line)
    return "\n".join(lines)
