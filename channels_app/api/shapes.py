"""What the API answers with, for its description; the tests hold the answers to it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from accounts.tiers import Features, Limits
from agents.preferences import Preferences
from channels_app.protocol.server import Ending

Count = Annotated[int, Field(ge=0)]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="Where it is told.")]


class Shape(BaseModel):
    """An answer: every field is always there, and there are no others."""

    model_config = ConfigDict(extra="forbid")


class Page(Shape):
    """A part of a list; `next` is the `cursor` of the part after it, null at the end."""

    next: str | None


class Problem(Shape):
    """Why not: a code for programs, a sentence for the user."""

    code: str
    message: str


class Ticket(Shape):
    """A ticket for one WebSocket."""

    ticket: str
    expires_at: datetime


class Session(Shape):
    """A browser's session, whose cookie comes with it."""

    user_id: str
    expires_at: datetime


class Token(Shape):
    """A token of the development issuer."""

    token: str
    expires_at: datetime


class Licence(Shape):
    """A licence; `expires_at` null = never."""

    tier: Literal["free", "pro", "enterprise"]
    expires_at: datetime | None
    features: Features
    limits: Limits


class Me(Shape):
    """The user; one of `licence` and `problem` is null."""

    user_id: str
    licence: Licence | None
    problem: Problem | None


class Link(Shape):
    """An account of another platform that speaks for the user; `name` is how the platform shows it."""

    id: str
    channel: str
    account: str
    name: str
    created_at: datetime


class LinkRequest(Shape):
    """A code, or what became of it; `account` and `name` are null unless it is pending."""

    id: str
    channel: str
    state: Literal["open", "pending", "refused"]
    account: str | None
    name: str | None
    expires_at: datetime


class Links(Shape):
    """The user's links, and the requests that wait for a chat account or for the user."""

    links: list[Link]
    requests: list[LinkRequest]


class LinkCode(Shape):
    """A code to use in the chat app; `command` is what is typed there, `deep_link` null = the channel has none."""

    code: str
    command: str
    deep_link: str | None
    expires_at: datetime


class UsageReport(Shape):
    """What was used by day, model and channel; `limits` null = no licence in force."""

    since: date
    until: date
    limits: dict[str, Any] | None
    total: dict[str, Any]
    days: list[dict[str, Any]]


class Prices(Shape):
    """USD per million tokens; null = unknown."""

    input: float | None
    cached: float | None
    output: float | None


class Model(Shape):
    """A model that may answer; its id is `provider/name`."""

    id: str
    size: Literal["small", "large"]
    context_tokens: Count | None
    usd_per_million_tokens: Prices


class Models(Shape):
    """The models of the licence; `default` answers where neither somebody nor what is asked decides."""

    models: list[Model]
    default: str | None


class Conversation(Shape):
    """A conversation; `alias` is `main` for the one that all channels share, `model` null before the first answer."""

    id: str
    alias: Literal["", "main"]
    title: str
    model: str | None
    created_at: datetime
    updated_at: datetime


class Conversations(Page):
    """Conversations, the last used first."""

    conversations: list[Conversation]


class ConversationWithItems(Conversation):
    """A conversation with a page of its history, oldest first; `before` asks for the page of older ones, `turns` tells how
    those of the page ended."""

    items: list[dict[str, Any]]
    before: int | None
    turns: dict[str, Ending]


class Turn(Shape):
    """A message and its answer, both empty while only a workspace that can't be reached holds them."""

    turn: str
    conversation: str
    channel: str
    state: Literal["queued", "running", "awaiting_approval", "awaiting_answer", "done", "failed", "cancelled"]
    content: str
    answer: str
    model: str | None
    usage: dict[str, Any]
    error: Problem | None
    ms: Count


class OpenTurn(Shape):
    """A message that is not answered yet; `position` counts those of its conversation that come first, `joined_to` is the
    turn in whose answer it is taken up."""

    turn: str
    conversation: str
    channel: str
    state: Literal["queued", "running", "awaiting_approval", "awaiting_answer"]
    content: str
    position: Count
    joined_to: str | None


class OpenTurns(Shape):
    """The messages that are not answered yet, the oldest first, at most 200."""

    turns: list[OpenTurn]


class Workspace(Shape):
    """A workspace; `detail` is a sentence for the user, `last_cause` null when its last start went well."""

    state: str
    stage: str
    detail: str
    since: datetime | None
    last_cause: str | None


class AllPreferences(Preferences):
    """What the user wants; null = no wish."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Approval(Shape):
    """Something that is done only if the user says yes. `title` and `details` are empty once they are no longer kept.

    `by_channel` is where it was decided: `gateway` by its time, blank before, or when its message was stopped.
    """

    id: str
    turn: str
    conversation: str
    workflow: str
    title: str
    details: dict[str, Any]
    digest: str
    state: Literal["pending", "approved", "rejected", "expired", "cancelled"]
    by_channel: str
    comment: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class Approvals(Page):
    """Approvals, the newest first."""

    approvals: list[Approval]


class Question(Shape):
    """Something that only the user knows; `schema` is the JSON Schema of the values to answer with."""

    # pydantic's own `schema` is in the way of the name.
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    id: str
    turn: str
    conversation: str
    text: str
    values_schema: Annotated[dict[str, Any], Field(alias="schema")]
    state: Literal["pending", "answered", "declined", "expired", "cancelled"]
    by_channel: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class Questions(Page):
    """Questions, the newest first."""

    questions: list[Question]


class Upload(Shape):
    """A file that no message has taken yet; erased at `expires_at`."""

    id: str
    name: str
    kind: Literal["picture", "pdf", "text"]
    media_type: str
    size: Count
    expires_at: datetime


class Uploads(Page):
    """Files that no message has taken, the oldest first."""

    uploads: list[Upload]


class Task(Shape):
    """What is done, and when by the clock of `time_zone`; `day` null unless it is weekly."""

    every: Literal["daily", "weekdays", "weekly"]
    day: Day | None
    at: str
    time_zone: str
    text: str


class Alert(Shape):
    """Of which price is told; prices are decimal numbers as text. `delivered_at` is when a platform said that it had shown it."""

    symbol: str
    direction: Literal["above", "below"]
    level: str
    last_price: str | None
    fired_at: datetime | None
    delivered_at: datetime | None


class Schedule(Shape):
    """A task or an alert: one of `task` and `alert` is null. `reason` says why it is paused, or can't be checked."""

    id: str
    number: Count
    kind: Literal["task", "alert"]
    channel: str
    state: Literal["active", "paused"]
    reason: str
    due_at: datetime
    created_at: datetime
    run_at: datetime | None
    task: Task | None
    alert: Alert | None


class Schedules(Page):
    """Schedules, by number."""

    schedules: list[Schedule]


class NewTask(Shape):
    """A task to add; without a time zone in that of the user's preferences. `day` for a weekly one, and no other."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["task"]
    every: Literal["daily", "weekdays", "weekly"]
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Time of day, HH:MM.")]
    text: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$", description="What to do.")]
    day: Day | None = None
    time_zone: Annotated[str, Field(min_length=1, max_length=64, description="IANA name.")] | None = None
    channel: ChannelName = "web"


class NewAlert(Shape):
    """An alert to add."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["alert"]
    symbol: Annotated[str, Field(pattern=r"^[A-Za-z0-9^][A-Za-z0-9 &._:/'-]{0,63}$")]
    direction: Literal["above", "below"]
    level: Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,12})?$", description="A price above 0, as text.")]
    channel: ChannelName = "web"


class ToldIn(Shape):
    """Where a schedule is told from now on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    channel: ChannelName


NewSchedule = Annotated[NewTask | NewAlert, Field(discriminator="kind")]
