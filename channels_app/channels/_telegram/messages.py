"""An answer as messages of the Bot API: at most 4096 UTF-16 units that are seen, in HTML, with the same as plain text."""

from html import escape

from channels_app.channels import Part
from channels_app.richtext import telegram_html, visible_text
from channels_app.text import MIN_LIMIT, split_text, utf16_units

# Source: Bot API, sendMessage: "1-4096 characters after entities parsing".
MAX_UNITS = 4096


def compose(markdown: str) -> list[Part]:
    """The messages in order, each `{"html", "text", "quote"}`; the first quotes what it answers."""
    pairs = [pair for pair in _fitting(markdown, MAX_UNITS) if pair[1].strip()]
    return [{"html": html, "text": text, "quote": index == 0} for index, (html, text) in enumerate(pairs)]


def _fitting(markdown: str, limit: int) -> list[tuple[str, str]]:
    """HTML and plain text of each part. Where markup makes a part longer (tables), it is cut again."""
    pairs: list[tuple[str, str]] = []
    for text in split_text(markdown, limit=limit):
        html = telegram_html(text)
        seen = visible_text(html)
        if utf16_units(seen) <= MAX_UNITS:
            pairs.append((html if seen.strip() else escape(text, quote=False), text))
        elif limit // 2 < MIN_LIMIT:
            pairs.append((escape(text, quote=False), text))
        else:
            pairs.extend(_fitting(text, limit // 2))
    return pairs
