"""A message as the inbox keeps it: JSON that the release before and the one after this can read as well."""

from dataclasses import asdict, fields
from typing import Any

from channels_app.channels import File, Inbound

_DEFAULTS = {field.name: field.default for field in fields(Inbound)}
_FILE_FIELDS = frozenset(field.name for field in fields(File))
# What is looked at in the JSON itself, also by releases that know fewer fields.
_ALWAYS = frozenset({"content", "files", "thread"})


def written(inbound: Inbound) -> dict[str, Any]:
    """The message as JSON. A field that an earlier release does not know is there only where it says something."""
    return {name: value for name, value in asdict(inbound).items() if name in _ALWAYS or value != _DEFAULTS[name]}


def read(message: dict[str, Any]) -> Inbound:
    """The message; what only a later release knows is left out. Raises TypeError for what is none, and KeyError."""
    known = {name: value for name, value in message.items() if name in _DEFAULTS}
    files = tuple(
        File(**{name: value for name, value in dict(file).items() if name in _FILE_FIELDS}) for file in message["files"]
    )
    return Inbound(**(known | {"files": files}))


def together(kept: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """One message of two pieces: the one that is said to us, with the files of both and the words of the other below its own."""
    files = sorted([*kept["files"], *more["files"]], key=lambda file: int(file["order"]))
    base, other = (more, kept) if kept.get("loose") else (kept, more)
    words = "\n\n".join(piece["content"] for piece in (base, other) if piece["content"])
    return base | {"files": files, "content": words or None}
