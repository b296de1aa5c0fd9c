"""An answer as Slack's messages. Source: docs.slack.dev, "Formatting message text", "Block Kit"."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from agents.commands import COMMANDS
from channels_app.channels import Button, Part
from channels_app.channels._markup import UNSEEN, Dialect, messages

# Source: chat.postMessage: "we recommend limiting the text field to 4,000 characters".
MAX_UNITS = 4000
# Source: Block Kit, section: "Maximum length for the text in this field is 3000 characters".
MAX_SECTION_UNITS = 3000
# Source: Block Kit, button: text at most 75 characters.
MAX_LABEL = 75
# Source: chat.startStream: markdown_text at most 12,000 characters.
MAX_STREAM_CHARS = 12_000
_CONTROLS = re.compile(r"<(?=[!@#])")
# A command of ours in a text: not a path, nor a part of an address.
_COMMANDS = re.compile(rf"(?<![\w/.:])/(?=({'|'.join(sorted(COMMANDS))})\b(?!/))")
_ADDRESS = str.maketrans({"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", "&": "&amp;"})


def compose(markdown: str) -> list[Part]:
    """The messages in order, each `{"text"}` in Slack's mrkdwn."""
    return [{"text": text} for text in messages(typed(markdown), MRKDWN, limit=MAX_UNITS)]


def ask(markdown: str, buttons: Sequence[Button]) -> list[Part]:
    """The buttons stand under the last message, whose text must fit into a block."""
    parts: list[Part] = [{"text": text} for text in messages(typed(markdown), MRKDWN, limit=MAX_SECTION_UNITS)]
    parts[-1]["buttons"] = [[button.label, button.token] for button in buttons]
    return parts


def preview(markdown: str) -> Part | None:
    """The first message, with the markdown that a stream of Slack's takes."""
    parts = compose(markdown)
    # A stream knows the same commands as other text (<!channel>), but no escapes for them.
    return parts[0] | {"stream": _CONTROLS.sub(f"<{UNSEEN}", typed(markdown))[:MAX_STREAM_CHARS]} if parts else None


def typed(text: str) -> str:
    """The text with its commands as they can be typed: Slack's own client keeps what begins with a slash."""
    return _COMMANDS.sub("!", text)


def blocks(part: Part) -> list[dict[str, Any]]:
    """The text with its buttons; none without."""
    if not part.get("buttons"):
        return []
    elements = [
        {
            "type": "button",
            "action_id": f"choice_{index}",
            "text": {"type": "plain_text", "text": label[:MAX_LABEL]},
            "value": token,
        }
        for index, (label, token) in enumerate(part["buttons"])
    ]
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": part["text"]}},
        {"type": "actions", "elements": elements},
    ]


def mark(text: str) -> str:
    """What tells a text from any other of its length, for a receipt."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _escape(text: str) -> str:
    """Source: "Escaping text": these three, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_code(text: str) -> str:
    """A backtick ends code, and has no escape."""
    return _escape(text).replace("`", "\u02cb")


def _link(text: str, address: str) -> str:
    return f"<{address.translate(_ADDRESS)}|{text.replace('|', '¦')}>"


MRKDWN = Dialect(signs={"b": "*", "i": "_", "s": "~"}, escape=_escape, escape_code=_escape_code, link=_link)
