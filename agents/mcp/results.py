"""What a tool gave back: the text a model sees, and a line for the user."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from mcp_types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    ReadResourceResult,
    TextContent,
    TextResourceContents,
)

from agents.markup import clean
from agents.mcp.limits import MODEL_TEXT_BYTES, capped

# A line under the tool's name on a phone.
SUMMARY_CHARACTERS = 160
# Of one result: more is a gallery.
MOST_PICTURES = 4
# Words that end like a plural and are their own singular.
_NO_PLURALS = frozenset({"news", "series", "status"})


@dataclass(frozen=True, slots=True)
class Asks:
    """What a server wants to know before it goes on: requests by its own keys, and its own state, to be given back."""

    requests: dict[str, dict[str, Any]]
    state: str | None


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """A tool's result: `text` cleaned and capped, `structured` as the server gave it, `failed` when the tool says so.

    `pictures` are those that came with it. `asks` = there is none yet: the server wants to know something first.
    """

    text: str
    structured: dict[str, Any] | None = None
    failed: bool = False
    pictures: tuple[bytes, ...] = ()
    asks: "Asks | None" = None

    def summary(self) -> str:
        """One line of at most 160 characters."""
        brief = _brief(self.structured) if self.structured and not self.failed else ""
        line = brief or " ".join(self.text.split()) or "done"
        return line if len(line) <= SUMMARY_CHARACTERS else line[: SUMMARY_CHARACTERS - 1] + "…"


def outcome_of(result: CallToolResult | InputRequiredResult) -> ToolOutcome:
    """The outcome of a tool call."""
    if isinstance(result, InputRequiredResult):
        requests = {
            key: request.model_dump(mode="json", by_alias=True, exclude_none=True)
            for key, request in (result.input_requests or {}).items()
        }
        return ToolOutcome("", asks=Asks(requests, result.request_state))
    parts = [_text_of(block) for block in result.content]
    text = "\n".join(part for part in parts if part)
    structured = result.structured_content if isinstance(result.structured_content, dict) else None
    if not text and structured is not None:
        text = json.dumps(structured, ensure_ascii=False)
    pictures = [_picture(block) for block in result.content if isinstance(block, ImageContent)]
    shown = tuple(picture for picture in pictures if picture)[:MOST_PICTURES]
    return ToolOutcome(capped(clean(text)), structured, bool(result.is_error), shown)


def resource_text(result: ReadResourceResult, *, limit_bytes: int = MODEL_TEXT_BYTES) -> str:
    """The text of a resource, cleaned and capped."""
    parts = [each.text for each in result.contents if isinstance(each, TextResourceContents)]
    return capped(clean("\n".join(parts)), limit_bytes=limit_bytes)


def resource_bytes(result: ReadResourceResult) -> bytes:
    """The bytes of a resource; none when it is a text, or not in the form it promised."""
    parts = [each.blob for each in result.contents if isinstance(each, BlobResourceContents)]
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error:
        return b""


def _picture(block: ImageContent) -> bytes:
    try:
        return base64.b64decode(block.data, validate=True)
    except binascii.Error:
        return b""


def _text_of(block: object) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, EmbeddedResource):
        inside = block.resource
        return "[binary data]" if isinstance(inside, BlobResourceContents) else inside.text
    return f"[{getattr(block, 'type', 'content')}]"


def _brief(values: dict[str, Any]) -> str:
    """The plain values by name, and how many items each list has."""
    words = []
    for name, value in values.items():
        if isinstance(value, list):
            words.append(f"{len(value)} {_one_of(name) if len(value) == 1 else name}")
        elif value is not None and not isinstance(value, dict):
            words.append(f"{name} {' '.join(clean(str(value)).split())}")
    return ", ".join(words)


def _one_of(name: str) -> str:
    """The singular of a list's name: `strategies` is `strategy`, `results` is `result`, `series` stays."""
    if name.endswith("ies") and name not in _NO_PLURALS:
        return f"{name[:-3]}y"
    return name.removesuffix("s") if not name.endswith("ss") and name not in _NO_PLURALS else name
