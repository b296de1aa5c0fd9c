"""When a model fails in the middle of a turn, another goes on.

Before a word was shown, up to three models are asked for a step. An answer that broke off after words were shown goes on
once in a turn, with a note; a second time it ends, with what was written kept.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from agents.catalogue import Model
from agents.circuits import Circuits, MemoryCircuits
from agents.errors import AgentFailed
from agents.events import Event, Notice, Started
from agents.model_step import BoundModel
from agents.vendor_errors import VendorFailed

log = structlog.get_logger(__name__)

# Models that are asked in one turn, the first included: each may be silent for a minute before it is given up.
MOST_MODELS = 3

GO_ON = (
    "[Your answer above was cut off by a technical fault, and its reader has it before their eyes. Go on exactly where it "
    "ends, within the word if need be. Repeat nothing, and don't speak of the fault.]"
)


async def _nothing_to_bind(model: Model) -> BoundModel:
    raise AgentFailed("no_model", f"{model.spec} is not available.")


async def _nobody_to_tell(_event: Event) -> None:
    """For a run of which nobody hears."""


@dataclass(slots=True)
class Standbys:
    """The models that wait to be asked in this turn, in order."""

    bind: Callable[[Model], Awaitable[BoundModel]] = _nothing_to_bind
    waiting: list[Model] = field(default_factory=list)
    circuits: Circuits = field(default_factory=MemoryCircuits)
    emit: Callable[[Event], Awaitable[None]] = _nobody_to_tell
    attempt: int = 1
    asked: int = 1
    continued: bool = False
    _first: AgentFailed | None = None

    async def answered(self, model: Model) -> None:
        """The model has answered a step."""
        self._first = None
        await self.circuits.answered(model)

    async def after(self, failure: AgentFailed, failed: Model, *, shown: bool) -> tuple[BoundModel, Model]:
        """The model that goes on after `failed`; `shown` = words of this step were.

        Raises the step's first failure when none does: those of the standbys say less.
        """
        self._first = self._first or failure
        if isinstance(failure, VendorFailed):
            await self.circuits.failed(failed, failure.trouble)
        model = self._next(failure, failed, shown=shown)
        if model is None:
            # What a person has read is not taken back by another attempt.
            raise AgentFailed(failure.code, failure.message) if shown and self.continued else self._first
        self.asked += 1
        self.continued |= shown
        log.warning("model_replaced", failed=failed.spec, by=model.spec, shown=shown)
        bound = await self.bind(model)
        if shown:
            await self.emit(Notice(f"{failure.message} {model.spec} goes on from here."))
        await self.emit(Started(model.spec, f"in place of {failed.spec}: {failure.message}", self.attempt))
        return bound, model

    def _next(self, failure: AgentFailed, failed: Model, *, shown: bool) -> Model | None:
        if self.asked >= MOST_MODELS or (shown and self.continued):
            return None
        for model in self._suitable(failure, failed):
            self.waiting.remove(model)
            return model
        # A connection that breaks need not break again: with nobody else to ask, the same model goes on.
        return failed if shown and isinstance(failure, VendorFailed) and failure.retryable else None

    def _suitable(self, failure: AgentFailed, failed: Model) -> list[Model]:
        if failure.code == "budget_exhausted":
            return sorted((m for m in self.waiting if _price(m) < _price(failed)), key=_price)[:1]
        if not isinstance(failure, VendorFailed):
            return []
        if failure.code == "context_too_long":
            return [model for model in self.waiting if (model.context or 0) > (failed.context or 0)]
        if failure.trouble.blame == "provider":
            return [model for model in self.waiting if model.provider != failed.provider]
        return list(self.waiting)


def going_on(prompt: Sequence[AnyMessage], said: str) -> list[AnyMessage]:
    """The prompt for a model that goes on where another broke off after `said`; as it is where nothing was."""
    return [*prompt, AIMessage(said), HumanMessage(GO_ON)] if said else list(prompt)


def spoken_whole(said: str, message: AIMessage) -> AIMessage:
    """The message with what was said before it broke off."""
    if not said:
        return message
    content = message.content
    whole = said + content if isinstance(content, str) else [{"type": "text", "text": said}, *content]
    return message.model_copy(update={"content": whole})


def _price(model: Model) -> float:
    """For comparing only: dollars for a million tokens in and a quarter of that out. An unknown price is the highest."""
    return float("inf") if model.input is None or model.output is None else model.input + model.output / 4
