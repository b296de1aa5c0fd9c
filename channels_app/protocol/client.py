"""What a client may send. A field that is not named here is ignored, so that a newer client may talk to an older server."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Longer ones are no ids of ours; the limit keeps rows and logs small.
MAX_ID_CHARS = 128
# agents.turns refuses longer ones from any channel.
MAX_CONTENT_CHARS = 32_000
# JavaScript's largest safe integer.
MAX_SEQ = 2**53 - 1


def _integral(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# PostgreSQL stores no NUL, and a message must hold more than white space.
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00]+$")]
Content = Annotated[str, Field(max_length=MAX_CONTENT_CHARS, pattern=r"^[^\x00]*[^\x00\t\n\r ][^\x00]*$")]
Seq = Annotated[int, Field(ge=0, le=MAX_SEQ), BeforeValidator(_integral)]


class ClientFrame(BaseModel):
    """A frame from the client; `type` names it, and an `error` about it carries its `id`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    id: Id | None = None


class Message(ClientFrame):
    """Ask the agent. The same `id` with the same content is the same message.

    `conversation` absent is the main one, `model` absent leaves the choice to the gateway. `when_busy` says what becomes of a
    message during an answer, absent is the user's own policy (`/busy`). `attachments_of` is an earlier turn whose files come
    along again.
    """

    type: Literal["message"]
    content: Content
    conversation: Id | None = None
    model: Id | None = None
    when_busy: Literal["queue", "interrupt", "steer", "reject"] | None = None
    attachments: Annotated[list[Id], Field(max_length=10)] | None = None
    attachments_of: Id | None = None


class Cancel(ClientFrame):
    """Stop a turn, wherever it runs."""

    type: Literal["cancel"]
    turn: Id


class Resume(ClientFrame):
    """Send a turn's events numbered past `after`, then go on live."""

    type: Literal["resume"]
    turn: Id
    after: Seq


class Decision(ClientFrame):
    """Settle an approval; with `digest`, only if that is what it shows."""

    type: Literal["decision"]
    approval: Id
    decision: Literal["approve", "reject"]
    comment: str | None = None
    digest: str | None = None


class AnswerQuestion(ClientFrame):
    """Answer a question with values that fit its schema; without values it declines to."""

    type: Literal["answer"]
    question: Id
    values: dict[str, Any] | None = None


class History(ClientFrame):
    """Read a conversation's past, the page that ends before `before` (a cursor of an earlier `history`)."""

    type: Literal["history"]
    conversation: Id
    before: Seq | None = None


class Authenticate(ClientFrame):
    """Renew the session with a fresh token of the same user."""

    type: Literal["authenticate"]
    token: Annotated[str, Field(min_length=1, max_length=16_384)]


class Typing(ClientFrame):
    """The user is writing: a good moment to have the workspace up."""

    type: Literal["typing"]


class Ping(ClientFrame):
    """Ask for a `pong`."""

    type: Literal["ping"]


AnyClientFrame = Annotated[
    Message | Cancel | Resume | Decision | AnswerQuestion | History | Authenticate | Typing | Ping,
    Field(discriminator="type"),
]
