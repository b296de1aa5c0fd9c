"""What an uploaded file is: seen from its content, whatever its name or sender says. Pure."""

import re
from typing import Literal

from agents.markup import clean
from agents.pictures import media_type

Kind = Literal["picture", "pdf", "text"]

MOST_NAME_CHARACTERS = 120
# Readers take a PDF whose mark stands within its first kilobyte (ISO 32000-1, annex H.3.4.1).
_PDF_MARK, _PDF_WITHIN = b"%PDF-", 1024
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# What the heading of a table of prices names; see `import_bars` in docs/tools.md.
_PRICES = frozenset({"open", "high", "low", "close"})
_NO_SYMBOL = re.compile(r"[^A-Z0-9._-]+")
_MOST_SYMBOL_CHARACTERS = 32


def kind_of(content: bytes) -> tuple[Kind, str] | None:
    """The kind and the media type; None for what is neither a picture nor a document."""
    if picture := media_type(content):
        return "picture", picture
    if _PDF_MARK in content[:_PDF_WITHIN]:
        return "pdf", "application/pdf"
    return ("text", "text/plain") if text_of(content).strip() else None


def text_of(content: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or Windows-1252; "" for what is no text."""
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    for encoding in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return "" if _CONTROL.search(text) else text
    return ""


def is_bars(text: str) -> bool:
    """Whether a text begins like a table of prices."""
    heading = text.lstrip().partition("\n")[0].lower()
    return set(re.split(r"[,;\t]", heading.replace('"', "").replace(" ", "").strip())) >= _PRICES


def symbol_of(name: str) -> str:
    """The symbol under which bars of a file of this name are kept; "" when the name has nothing to make one of."""
    stem = name.rpartition(".")[0] or name
    return _NO_SYMBOL.sub("_", stem.upper()).strip("_.-")[:_MOST_SYMBOL_CHARACTERS].rstrip("_.-")


def name_of(given: str) -> str:
    """A file's name for people: the last part of a path, without what can't be seen, in one line."""
    last = re.split(r"[/\\]", given)[-1]
    plain = " ".join(clean(last).split())
    stem, dot, ending = plain.rpartition(".")
    if len(plain) > MOST_NAME_CHARACTERS and stem and len(ending) <= 8:
        plain = stem[: MOST_NAME_CHARACTERS - len(ending) - 1] + dot + ending
    return plain[:MOST_NAME_CHARACTERS] or "file"
