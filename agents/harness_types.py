"""What the turn engine and the harness say to each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from accounts.licences import Licence
from agents.catalogue import Model
from agents.circuits import Circuits, MemoryCircuits
from agents.events import Event, Usage
from agents.waiting import Resumed
from provisioning.stages import OnStage, StageReport

Emit = Callable[[Event], Awaitable[None]]


async def ignore_stage(_report: StageReport) -> None:
    """For a run of which nobody watches the workspace's start."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the user added to a message while it is being answered, and in which channel."""

    content: str
    channel: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A file of a message; `kind` is picture, pdf or text, `outcome` what an earlier attempt has made of it."""

    id: str
    name: str
    kind: str
    media_type: str
    content: bytes
    outcome: str = ""


# Keeps what became of a file, by its id.
KeepOutcome = Callable[[str, str], Awaitable[None]]
# Keeps a picture of the turn for its user: where the page finds it, "" = nowhere.
KeepPicture = Callable[[bytes], Awaitable[str]]
# The idempotency key of a call: the tool's name, the digest of its arguments, its step and number.
EffectKey = Callable[[str, str, str], Awaitable[str]]


async def keep_no_picture(_picture: bytes) -> str:
    """For a run whose pictures nobody sees."""
    return ""


async def keep_no_outcome(_upload: str, _outcome: str) -> None:
    """For a run that is not tried again."""


async def key_of_place(_tool: str, _digest: str, place: str) -> str:
    """For a run that is not tried again."""
    return place


async def nobody_joins() -> list[Said]:
    """For a run that no message can join."""
    return []


class Meter(Protocol):
    """What each model call of a turn passes through: asked before it, told of it as it comes, and after it.

    A call that fails or is cancelled is not ended here: what was heard of it is booked with the next call, or the turn's end.
    """

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        """May the model be asked with so many tokens? Raises AgentFailed when licence or budget do not allow it now."""

    def heard(self, text: str) -> None:
        """The model has written `text`."""

    def took(self, usage: Usage) -> None:
        """The call failed, and what it took is known: nothing, where nothing of an answer came."""

    def called(self) -> None:
        """A tool was called that no model has asked for."""

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        """The call went well. A server that does not tell its usage gives none: what was seen of it is booked."""


class Unmetered:
    """For a run that nobody pays for."""

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        """Always."""

    def heard(self, text: str) -> None:
        """Not of interest."""

    def took(self, usage: Usage) -> None:
        """Not of interest."""

    def called(self) -> None:
        """Not of interest."""

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        """Not of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn to run.

    `fence` is the claim's, `workflow` the name of one that answers the turn in the agent's place, "" = none.

    `model` is the message's explicit choice and `preferred_model` the one its conversation has used, both as
    `provider/name` or None; `model_settled` = its user chose that one. `attempt` counts from 1, and anew when the turn has
    waited for its user, of which `resumed` tells. `on_stage` hears of the workspace's start, `meter` of each model call,
    and `circuits` of how it went. `joined` is what the user has added in earlier attempts; `more` gives, before each model
    call, what was added since. `attached` are the message's files. `keep_picture`, `keep_outcome` and `effect_key` keep what
    must outlive the attempt.
    """

    turn: str
    conversation: str
    user_id: str
    channel: str
    content: str
    licence: Licence
    model: str | None = None
    preferred_model: str | None = None
    model_settled: bool = True
    attempt: int = 1
    fence: int = 0
    workflow: str = ""
    resumed: Resumed | None = None
    on_stage: OnStage = ignore_stage
    meter: Meter = field(default_factory=Unmetered)
    circuits: Circuits = field(default_factory=MemoryCircuits)
    joined: tuple[Said, ...] = ()
    more: Callable[[], Awaitable[list[Said]]] = nobody_joins
    attached: tuple[Attached, ...] = ()
    keep_picture: KeepPicture = keep_no_picture
    keep_outcome: KeepOutcome = keep_no_outcome
    effect_key: EffectKey = key_of_place


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in which a turn has just ended, and the model (`provider/name`) that answered it."""

    user_id: str
    conversation: str
    channel: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a turn ended well.

    `messages` are the turn's own, for `append_turn`: the user's, the agent's with its tool calls, the tools' results
    (capped), and last the answer. `kept_model` is the one that the conversation goes on with: not a mere stand-in.
    `summary_due`: the conversation has grown so long that its older part should be summed up.
    """

    content: str
    model: str
    usage: Usage = field(default_factory=Usage)
    messages: list[dict[str, Any]] = field(default_factory=list)
    kept_model: str = ""
    summary_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """How an agent's part of a turn ended by starting a workflow; see agents.workflow_runs.WorkflowRun."""

    workflow: str
    inputs: dict[str, Any]
    said: str
    messages: list[dict[str, Any]]
    call: str
    usage: Usage
