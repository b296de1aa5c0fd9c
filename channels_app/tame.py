"""A model's markdown for a renderer that we do not know: nothing in it loads by itself, and no link runs or opens an app.

Images become links, HTML becomes text, and what is no address on the web or of mail is taken out of links. Code stays as it
is. What comes out is read again as CommonMark with HTML; should anything be left, all of it is given as code.
"""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.token import Token

# The parser drops what is nested deeper, so nobody would have looked at it.
MAX_NESTING = 40
_SAFE = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_DESTINATION = r"(?:<[^<>\n]*>|[^\s<)](?:[^\s()]|\([^\s()]*\))*)"
# In this order, what stands there: an escaped character, a code span, an image's beginning, an inline link's address, an address
# in angle brackets, and what may begin HTML.
_MARKS = re.compile(
    r"(?P<escaped>\\.)|(?P<code>(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))|(?P<ticked>`+)|(?P<image>!+(?=\[))"
    rf"|(?P<opening>\]\(\s*)(?P<inline>{_DESTINATION})|<(?P<auto>[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]*)>|(?P<html><(?=[A-Za-z/!?]))",
    re.DOTALL,
)
_MAIL = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+>")
_DEFINED = re.compile(rf"(\]:\s*)({_DESTINATION})")
_BREAK, _LINE = re.compile(r"\r\n?"), re.compile(r"[^\n]*\n|[^\n]+")
_CODE = -1
_FENCE = re.compile(r"`{3,}")


def _reader(*, html: bool) -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": html, "maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])
    # It knows some addresses for bad, and would take a link to one for text.
    reader.validateLink = _any  # type: ignore[method-assign]
    return reader


def _any(url: str) -> bool:  # noqa: ARG001 - also those
    return True


_reads, _checks = _reader(html=False), _reader(html=True)


def tame(markdown: str) -> str:
    """The text, in which every link leads to http, https or mailto, and nothing else is live."""
    if is_tame(markdown):
        return markdown
    tamed = _tamed(markdown)
    return tamed if is_tame(tamed) else _as_code(markdown)


def is_tame(markdown: str) -> bool:
    """Whether a reader of CommonMark with HTML, tables and strikethrough finds nothing live but such links."""
    return all(_is_harmless(token) for token in _all(_checks.parse(markdown)))


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def _is_harmless(token: Token) -> bool:
    if token.type in {"image", "html_block", "html_inline"} or token.level >= MAX_NESTING - 1:
        return False
    address = token.attrGet("href") if token.type == "link_open" else ""
    return not address or _is_safe(str(address))


def _is_safe(address: str) -> bool:
    return _SAFE.match(address) is not None


def _tamed(markdown: str) -> str:
    env: dict[str, dict[str, dict[str, list[int]]]] = {}
    tokens = _reads.parse(markdown, env)
    lines = _LINE.findall(_BREAK.sub("\n", markdown))
    blocks = _blocks(tokens, len(lines))
    defined = {line for found in env.get("references", {}).values() for line in range(*found["map"])}
    made = []
    for (block, is_defined), group in groupby(range(len(lines)), key=lambda line: (blocks[line], line in defined)):
        text = "".join(lines[line] for line in group)
        if block != _CODE:
            text = _MARKS.sub(_mended, _DEFINED.sub(_redefined, text) if is_defined else text)
        made.append(text)
    return "".join(made)


def _blocks(tokens: Sequence[Token], lines: int) -> list[int]:
    """What each line belongs to: code, or a text, by its first line, since a code span ends with that."""
    blocks = list(range(lines))
    for token in tokens:
        if token.map and token.type in {"inline", "fence", "code_block"}:
            first, after = token.map[0], min(token.map[1], lines)
            blocks[first:after] = [first if token.type == "inline" else _CODE] * (after - first)
    return blocks


def _mended(match: re.Match[str]) -> str:
    if match["image"]:
        return ""
    if match["inline"]:
        return match[0] if _leads_out(match["inline"]) else f"{match['opening']}<>"
    if match["auto"]:
        return match[0] if _is_safe(match["auto"]) else f"\\{match[0]}"
    if match["html"]:
        return match[0] if _MAIL.match(match.string, match.start()) else "\\<"
    return match[0]


def _redefined(match: re.Match[str]) -> str:
    return match[0] if _leads_out(match[2]) else f"{match[1]}<>"


def _leads_out(destination: str) -> bool:
    """Whether an address as markdown writes it, with its escapes, leads to where links may."""
    return _is_safe(unescape(_ESCAPE.sub(r"\1", destination.strip("<>"))))


def _as_code(markdown: str) -> str:
    fence = "`" * (max((len(found) for found in _FENCE.findall(markdown)), default=2) + 1)
    return f"{fence}\n{markdown}\n{fence}"
