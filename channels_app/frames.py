"""A client's text, parsed at the edge into one typed frame."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from channels_app import strict_json
from channels_app.protocol.client import MAX_ID_CHARS, AnyClientFrame

MAX_FRAME_BYTES = 64 * 1024

_adapter: TypeAdapter[AnyClientFrame] = TypeAdapter(AnyClientFrame)


class BadFrame(Exception):
    """The frame can't be understood. `id` is the client's own, when it could be read."""

    def __init__(self, message: str, *, frame_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.id = frame_id


def parse_frame(text: str) -> AnyClientFrame:
    """The frame in a JSON text. Raises BadFrame, with words for the client's author, whatever the text holds."""
    try:
        value = strict_json.loads(text)
    except strict_json.BadJSON as error:
        raise BadFrame(str(error)) from error
    return parse_object(value)


def parse_object(value: Any) -> AnyClientFrame:
    """The frame in an already read JSON value. Raises BadFrame."""
    if not isinstance(value, dict):
        raise BadFrame("A frame is a JSON object.")
    try:
        return _adapter.validate_python(value)
    except ValidationError as error:
        raise BadFrame(_explain(error), frame_id=_own_id(value)) from error


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong; the values themselves are left out, since they may be secrets."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # The first step of the path is the frame's type, by which the model was chosen.
    field = ".".join(str(step) for step in first["loc"][1:])
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return "The frame has no known type."
    # The only pattern that a text which strict_json let pass can miss.
    said = "It is empty" if first["type"] == "string_pattern_mismatch" else first["msg"]
    return f"{field}: {said}." if field else f"{said}."


def _own_id(value: dict[str, Any]) -> str | None:
    found = value.get("id")
    return found if isinstance(found, str) and 0 < len(found) <= MAX_ID_CHARS else None
