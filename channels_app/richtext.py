"""Markdown as a model writes it, in the few HTML tags that Telegram shows.

Source of the tags and of what may hold what: Bot API, "HTML style".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape, unescape
from unicodedata import east_asian_width

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

# Deeper blocks are dropped by the parser, so a text that nests this deep is shown as it is.
MAX_NESTING = 40
# One long cell widens its whole column: a table that grows by more than this is shown without columns.
MAX_GROWTH = 3
_TAGS = {"a", "b", "blockquote", "code", "i", "pre", "s"}
_ATTRIBUTES = {"a": {"href"}, "code": {"class"}}
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}", re.ASCII)
_TAG = re.compile(r"<[^>]*>")
_SPACE_IN_QUOTE = re.compile(r"\n+</blockquote>")
_INLINE_TAGS = {"strong": "b", "em": "i", "s": "s"}

_parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])


def telegram_html(markdown: str) -> str:
    """The text as Telegram's HTML: tags balanced, everything else escaped, links to http and https only."""
    tokens = _parser.parse(markdown)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return escape(markdown, quote=False)
    html = _SPACE_IN_QUOTE.sub("</blockquote>", "".join(_Blocks(tokens).html())).strip("\n")
    # The one barrier between a model's words and the platform, whatever the code above does.
    clean = nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes={"http", "https"}, link_rel=None)
    # Telegram knows four named entities, and this is not one of them.
    return clean.replace("&nbsp;", "\u00a0")


def visible_text(html: str) -> str:
    """What a reader sees of Telegram's HTML, which is what counts against its limit."""
    return unescape(_TAG.sub("", html))


class _Blocks:
    """The blocks of one text, each ending in a line break, with an empty line between paragraphs."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = iter(tokens)
        self._markers: list[Iterator[str]] = []
        self._quotes = 0

    def html(self) -> Iterator[str]:
        """The pieces of HTML, in order."""
        for token in self._tokens:
            handler: Callable[[Token], str] = getattr(self, f"_{token.type}", _nothing)
            yield handler(token)

    def _inline(self, token: Token) -> str:
        return _inline(token.children or [])

    def _paragraph_close(self, token: Token) -> str:
        return "\n" if token.hidden or self._markers else "\n\n"

    def _heading_open(self, _token: Token) -> str:
        return "<b>"

    def _heading_close(self, _token: Token) -> str:
        return "</b>\n\n"

    def _blockquote_open(self, _token: Token) -> str:
        # A quotation can't hold another one.
        self._quotes += 1
        return "<blockquote>" if self._quotes == 1 else ""

    def _blockquote_close(self, _token: Token) -> str:
        self._quotes -= 1
        return "" if self._quotes else "</blockquote>\n\n"

    def _hr(self, _token: Token) -> str:
        return "———\n\n"

    def _fence(self, token: Token) -> str:
        language = _LANGUAGE.match(token.info.strip())
        opening = f'<code class="language-{language[0]}">' if language else "<code>"
        code = escape(token.content.removesuffix("\n"), quote=False)
        return f"<pre>{opening}{code}</code></pre>\n\n"

    _code_block = _fence

    def _bullet_list_open(self, _token: Token) -> str:
        self._markers.append(iter(lambda: "• ", ""))
        return ""

    def _ordered_list_open(self, token: Token) -> str:
        start = token.attrGet("start")
        first = 1 if start is None else int(start)
        self._markers.append(f"{number}. " for number in range(first, first + 10**6))
        return ""

    def _list_item_open(self, _token: Token) -> str:
        return "\u00a0\u00a0" * (len(self._markers) - 1) + next(self._markers[-1], "• ")

    def _list_close(self, _token: Token) -> str:
        self._markers.pop()
        return "" if self._markers else "\n"

    _bullet_list_close = _ordered_list_close = _list_close

    def _table_open(self, _token: Token) -> str:
        rows: list[list[_Cell]] = []
        right = False
        for token in self._tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type in {"th_open", "td_open"}:
                right = token.attrGet("style") == "text-align:right"
            elif token.type == "inline":
                rows[-1].append(_Cell(visible_text(_inline(token.children or [])), right=right))
        return f"<pre>{escape(_aligned(rows), quote=False)}</pre>\n\n"


class _Cell:
    """A cell of a table: its text, and whether it stands to the right."""

    def __init__(self, text: str, *, right: bool) -> None:
        self.text, self._right = " ".join(text.split()), right
        self.width = sum(2 if east_asian_width(character) in "WF" else 1 for character in self.text)

    def padded(self, width: int) -> str:
        """The text in a column of `width`."""
        space = " " * (width - self.width)
        return space + self.text if self._right else self.text + space


def _aligned(rows: list[list[_Cell]]) -> str:
    """A table in columns of equal width, unless they would be mostly space; a rule under its head."""
    widths = [max(cell.width for cell in column) for column in zip(*rows, strict=False)]
    if sum(widths) * len(rows) > MAX_GROWTH * sum(max(cell.width, 1) for row in rows for cell in row):
        widths = [0] * len(widths)
    lines = [" | ".join(cell.padded(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    lines.insert(1, "-+-".join("-" * max(width, 1) for width in widths))
    return "\n".join(lines)


def _inline(tokens: Sequence[Token]) -> str:
    pieces: list[str] = []
    links: list[str] = []
    for token in tokens:
        kind, _, end = token.type.rpartition("_")
        if token.type == "link_open":
            pieces.append(_link(token))
            links.append("</a>" if pieces[-1] else "")
        elif token.type == "link_close":
            pieces.append(links.pop())
        elif kind in _INLINE_TAGS:
            pieces.append(f"<{'/' if end == 'close' else ''}{_INLINE_TAGS[kind]}>")
        else:
            pieces.append(_leaf(token))
    return "".join(pieces)


def _leaf(token: Token) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return "\n"
    if token.type == "code_inline":
        return f"<code>{escape(token.content, quote=False)}</code>"
    # An image is shown by its description: nothing is loaded from elsewhere.
    return escape(token.content, quote=False)


def _link(token: Token) -> str:
    address = str(token.attrGet("href") or "")
    return f'<a href="{escape(address)}">' if address.startswith(("http://", "https://")) else ""


def _nothing(_token: Token) -> str:
    return ""
