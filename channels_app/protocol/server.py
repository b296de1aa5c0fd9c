"""What the server sends that is no event of a turn: each is made here and sent by the socket."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from channels_app.protocol.events import Usage


class ServerFrame(BaseModel):
    """A frame to the client; `type` names it."""

    model_config = ConfigDict(frozen=True)

    def text(self) -> str:
        """The frame as it goes over the wire."""
        return self.model_dump_json()


class Ready(ServerFrame):
    """The socket is open. `licence` is the tier, `model` what would answer now ("" for none), `running` the open turns.

    Events of a turn in `running` are sent once the client asks for them with `resume`; those of later turns come unasked.
    """

    type: Literal["ready"] = "ready"
    user_id: str
    licence: Literal["free", "pro", "enterprise"]
    model: str
    conversation: str
    running: list[str]


class Status(ServerFrame):
    """What the user's workspace is doing, in words for the user."""

    type: Literal["status"] = "status"
    state: str
    detail: str


class Accepted(ServerFrame):
    """The message is stored as a turn; `id` is the client's own (null when it gave none), `position` the turns before it."""

    type: Literal["accepted"] = "accepted"
    id: str | None
    turn: str
    conversation: str
    position: Annotated[int, Field(ge=0)]


class Trouble(BaseModel):
    """Why a turn has no answer, in words for the user."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class Ending(BaseModel):
    """How a turn ended, `ms` milliseconds after it was accepted; `usage` null where no model was asked."""

    model_config = ConfigDict(frozen=True)

    state: Literal["done", "failed", "cancelled"]
    usage: Usage | None
    ms: Annotated[int, Field(ge=0)]
    error: Trouble | None


class HistoryPage(ServerFrame):
    """A page of a conversation's past, the oldest message first; `before` asks for the page before it (null: none).

    `turns` tells by turn how those of the page ended that the gateway still knows.
    """

    type: Literal["history"] = "history"
    conversation: str
    items: list[dict[str, Any]]
    before: int | None
    turns: dict[str, Ending]


class Error(ServerFrame):
    """A frame was refused; `id` is the client's own. Absent fields are left out."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after_s: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = None
    id: str | SkipJsonSchema[None] = None

    def text(self) -> str:
        """The frame as it goes over the wire."""
        return self.model_dump_json(exclude_none=True)


class Expiring(ServerFrame):
    """The session ends in `seconds`, unless the client sends `authenticate` with a fresh token."""

    type: Literal["expiring"] = "expiring"
    seconds: Annotated[int, Field(ge=0)]


class Pong(ServerFrame):
    """The answer to `ping`."""

    type: Literal["pong"] = "pong"


SERVER_FRAMES: tuple[type[ServerFrame], ...] = (Ready, Status, Accepted, HistoryPage, Error, Expiring, Pong)
