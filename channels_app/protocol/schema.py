"""The JSON Schema of the protocol; `docs/protocol.schema.json` is what `document` returns."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from channels_app.protocol.client import AnyClientFrame
from channels_app.protocol.events import EVENT_FRAMES
from channels_app.protocol.server import SERVER_FRAMES

SCHEMA_ID = "dexorder.v1"


def document() -> dict[str, Any]:
    """One schema (draft 2020-12): `#/$defs/ClientFrame` and `#/$defs/ServerFrame` are the two directions."""
    client: tuple[type[BaseModel], ...] = get_args(get_args(AnyClientFrame)[0])
    server: tuple[type[BaseModel], ...] = (*SERVER_FRAMES, *EVENT_FRAMES)
    _, made = models_json_schema(
        [(model, "validation") for model in (*client, *server)], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = made["$defs"]
    for model in (*client, *server):
        _tidy(definitions[model.__name__])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Frames of /ws/chat",
        "anyOf": [{"$ref": "#/$defs/ClientFrame"}, {"$ref": "#/$defs/ServerFrame"}],
        "$defs": definitions | {"ClientFrame": _one_of(client), "ServerFrame": _one_of(server)},
    }


def _tidy(definition: dict[str, Any]) -> None:
    """Name the type as required, and leave out the defaults of fields that are then absent."""
    if "type" not in definition.setdefault("required", []):
        definition["required"].insert(0, "type")
    for field in definition["properties"].values():
        field.pop("default", None)


def _one_of(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in models]}
