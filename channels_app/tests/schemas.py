"""Validators of the published schema, for tests of both directions."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

PUBLISHED = Path(__file__).resolve().parent.parent.parent / "docs" / "protocol.schema.json"


@cache
def _validator(direction: str) -> Any:
    document = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    del document["anyOf"]
    return Draft202012Validator(document | {"$ref": f"#/$defs/{direction}"})


def is_client_frame(value: Any) -> bool:
    """Whether the schema allows a client to send `value`."""
    return bool(_validator("ClientFrame").is_valid(value))


def check_server_frame(value: Any) -> None:
    """Raise jsonschema.ValidationError unless the schema allows the server to send `value`, and says all of its fields."""
    _validator("ServerFrame").validate(value)
    unknown = set(value) - _fields()[value["type"]]
    assert not unknown, f"{value['type']} has fields that are not in the schema: {unknown}"


@cache
def _fields() -> dict[str, set[str]]:
    known = json.loads(PUBLISHED.read_text(encoding="utf-8"))["$defs"]
    frames = [known[choice["$ref"].rpartition("/")[2]]["properties"] for choice in known["ServerFrame"]["oneOf"]]
    return {fields["type"]["const"]: set(fields) for fields in frames}
