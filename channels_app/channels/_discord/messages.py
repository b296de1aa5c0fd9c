"""An answer as Discord's messages. Source: discord.com/developers, "Message Resource", "Components"."""

import re
from collections.abc import Sequence
from typing import Any

from channels_app.channels import Button, Part
from channels_app.channels._markup import Dialect, messages

# Source: "Create Message": content of at most 2000 characters.
MAX_UNITS = 2000
MAX_LABEL = 80
# Source: "Attachment Object": a description of at most 1024 characters.
MAX_ALT = 512
BUTTONS_IN_A_ROW = 5
# Source: "Message Flags": no embeds, so that no address in an answer is fetched; for the user's eyes only.
SUPPRESS_EMBEDS, EPHEMERAL = 1 << 2, 1 << 6
# The first is the primary style, others are secondary.
PRIMARY, SECONDARY = 1, 2
_ADDRESS = re.compile(r"(https?://[^\s<>]+)")
_SIGN = re.compile(r"([\\*_~`|\[\]<])")
_LINE_SIGN = re.compile(r"^(\s*)([#>-])", re.MULTILINE)


def compose(markdown: str) -> list[Part]:
    """The messages in order, each `{"content", "first"}`."""
    texts = messages(markdown, MARKDOWN, limit=MAX_UNITS)
    return [{"content": text, "first": index == 0} for index, text in enumerate(texts)]


def ask(markdown: str, buttons: Sequence[Button]) -> list[Part]:
    """The buttons stand under the last message. What is asked is not the answer to an interaction, which is still to come."""
    parts = [part | {"first": False} for part in compose(markdown)]
    parts[-1]["buttons"] = [[button.label, button.token] for button in buttons]
    return parts


def picture(url: str, alt: str) -> Part:
    """A picture, with its words."""
    return {"picture": url, "content": _escape(alt)[: MAX_UNITS // 2].strip() or "🖼", "alt": alt[:MAX_ALT]}


def with_attachment(body: dict[str, Any], part: Part, *, filename: str) -> dict[str, Any]:
    """The body of a request that also uploads the picture of a part."""
    return body | {"attachments": [{"id": 0, "filename": filename, "description": part["alt"]}]}


def payload(part: Part, *, hidden: bool = False) -> dict[str, Any]:
    """The body of a request that shows a part; nobody is pinged, and nothing is fetched for a preview."""
    return {
        "content": part["content"],
        "allowed_mentions": {"parse": []},
        "flags": SUPPRESS_EMBEDS | (EPHEMERAL if hidden else 0),
        "components": _rows(part.get("buttons", [])),
    }


def once(part: Part) -> dict[str, Any]:
    """What makes a second request with the same key show no second message, but answer with the first."""
    return {"nonce": part["key"], "enforce_nonce": True} if "key" in part else {}


def _rows(buttons: list[list[str]]) -> list[dict[str, Any]]:
    made = [
        {
            "type": 2,
            "style": PRIMARY if index == 0 else SECONDARY,
            "label": label[:MAX_LABEL],
            "custom_id": token,
        }
        for index, (label, token) in enumerate(buttons)
    ]
    return [{"type": 1, "components": made[at : at + BUTTONS_IN_A_ROW]} for at in range(0, len(made), BUTTONS_IN_A_ROW)]


def _escape(text: str) -> str:
    """Signs mean nothing; an address is left whole."""
    pieces = _ADDRESS.split(text)
    return "".join(
        piece if index % 2 else _LINE_SIGN.sub(r"\1\\\2", _SIGN.sub(r"\\\1", piece))
        for index, piece in enumerate(pieces)
    )


def _escape_code(text: str) -> str:
    """A backtick ends code, and has no escape there."""
    return text.replace("`", "\u02cb")


def _link(text: str, address: str) -> str:
    return f"[{text}](<{address.replace('>', '%3E').replace(' ', '%20')}>)"


MARKDOWN = Dialect(
    signs={"b": "**", "i": "*", "s": "~~"}, escape=_escape, escape_code=_escape_code, link=_link, languages=True
)
