"""The first thing that is read of an archive: whose it is, how it is laid out, what each file in it must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST = "manifest.json"

# Grows when an older server could no longer read what a newer one writes.
FORMAT: Literal[1] = 1

# Names that mean the same on every system and can't leave a folder.
PATH = r"^[a-z_]+(/files)?/[A-Za-z0-9_-]{1,120}(\.[a-z]{1,8}){1,2}$"


class Entry(BaseModel):
    """A file of the archive; `sha256` is in hex."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: Annotated[str, Field(pattern=PATH)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What `manifest.json` holds. `data_version` is the version of the tables; the entries stand in their order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    user: str
    server: str
    data_version: Annotated[int, Field(ge=1)]
    exported_at: str
    entries: list[Entry]
