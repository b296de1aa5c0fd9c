"""An answer as messages of the Bot API: at most 4096 UTF-16 units that are seen, in HTML, with the same as plain text."""

from html import escape

from channels_app.channels import Part
from channels_app.richtext import telegram_html, visible_text
from channels_app.text import split_html

# Source: Bot API, sendMessage: "1-4096 characters after entities parsing".
MAX_UNITS = 4096
# Source: Bot API, sendPhoto: "0-1024 characters"; a character may count twice.
MAX_CAPTION = 512
# Source: Bot API, answerCallbackQuery: "0-200 characters".
MAX_ACKNOWLEDGEMENT = 200


def compose(markdown: str) -> list[Part]:
    """The messages in order, each `{"html", "text", "quote"}`; the first may quote what it answers."""
    # Words that make no text, such as a link's definition alone, are shown as they were written.
    parts = _parts(telegram_html(markdown)) or _parts(escape(markdown, quote=False))
    return [{"html": html, "text": visible_text(html), "quote": index == 0} for index, html in enumerate(parts)]


def picture(url: str, alt: str) -> Part:
    """A photo, with `caption` below it."""
    return {"picture": url, "caption": alt[:MAX_CAPTION]}


def _parts(html: str) -> list[str]:
    return [part for part in split_html(html, limit=MAX_UNITS) if visible_text(part).strip()]
