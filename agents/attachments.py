"""The files of a message: documents go to the user's workspace before a model is asked, pictures to the model."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from langchain_core.messages import HumanMessage

from agents.catalogue import Model
from agents.events import Notice
from agents.harness_types import Attached, Emit, KeepOutcome
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.results import ToolOutcome
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet
from agents.upload_kinds import is_bars, symbol_of, text_of

log = structlog.get_logger(__name__)

# Of a document that is short, the model sees the beginning without searching for it.
SHOWN_CHARACTERS = 12_000
# Of a tool's own words in an outcome.
REASON_CHARACTERS = 300
NOTHING_TO_KEEP = "{} can't be kept: your workspace takes no documents."
UNSEEN = ", which you can't look at: say so"
BLIND = (
    "{model} can't look at pictures, so it knows no more of {names} than the name. Choose another model with /model."
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the documents of a message go."""

    session: Session
    tools: ToolSet
    emit: Emit
    keep_outcome: KeepOutcome


@dataclass(frozen=True, slots=True)
class Files:
    """A message's files, its documents delivered: `outcomes` are sentences about these."""

    attached: Sequence[Attached] = ()
    outcomes: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> list[Attached]:
        """Those that are pictures."""
        return [each for each in self.attached if each.kind == "picture"]

    def told(self, model: Model) -> tuple[str, ...]:
        """What `model` is told of them beside the message."""
        told = [f"- {outcome}" for outcome in self.outcomes]
        told += [f"- {each.name}: a picture{'' if model.sees else UNSEEN}" for each in self.pictures]
        return (*told, *(_shown(each) for each in self.attached if each.kind == "text"))

    def message(self, content: str, *, model: Model) -> HumanMessage:
        """The user's message as `model` is asked it: with the pictures, where it sees."""
        if not self.pictures or not model.sees:
            return HumanMessage(content)
        return HumanMessage([{"type": "text", "text": content}, *map(_block, self.pictures)])


async def deliver(attached: Sequence[Attached], to: Delivery) -> Files:
    """Give the workspace the documents that it has not got yet, and tell the user of each. Raises CallFailed."""
    outcomes = []
    for each in attached:
        if each.kind == "picture":
            continue
        outcome = each.outcome
        if not outcome:
            outcome = await _keep(each, to)
            await to.keep_outcome(each.id, outcome)
            await to.emit(Notice(outcome))
        outcomes.append(outcome)
    return Files(attached, outcomes)


async def tell_blind(files: Files, model: Model, emit: Emit) -> None:
    """Tell the user of a model that can't look at the pictures."""
    if files.pictures and not model.sees:
        names = ", ".join(each.name for each in files.pictures)
        await emit(Notice(BLIND.format(model=model.spec, names=names)))


async def _keep(document: Attached, to: Delivery) -> str:
    """Prices as bars, where they are such; anything else, and prices that are refused, as a document."""
    text, symbol = text_of(document.content) if document.kind == "text" else "", symbol_of(document.name)
    if symbol and is_bars(text) and to.tools.has("import_bars"):
        said = await _call(to, "import_bars", {"symbol": symbol, "csv": text}, told=_told_bars)
        if not said.refused:
            return f"{document.name}: {said.words}"
        return f"{document.name} can't be imported as prices: {said.words.rstrip('.')}. {await _add(document, to)}"
    return await _add(document, to)


async def _add(document: Attached, to: Delivery) -> str:
    if not to.tools.has("add_document"):
        return NOTHING_TO_KEEP.format(document.name)
    encoded = base64.b64encode(document.content).decode("ascii")
    arguments = {"name": document.name, "content_base64": encoded}
    said = await _call(to, "add_document", arguments, told=lambda _kept: "is in your documents now.")
    return f"{document.name} can't be kept: {said.words}" if said.refused else f"{document.name} {said.words}"


@dataclass(frozen=True, slots=True)
class _Said:
    words: str
    refused: bool


async def _call(to: Delivery, tool: str, arguments: dict[str, Any], *, told: Callable[[dict[str, Any]], str]) -> _Said:
    """Call a tool; its refusal is an outcome. Raises CallFailed when the workspace did not answer."""
    try:
        outcome = await to.session.call_tool(tool, arguments)
    except CallFailed as error:
        if error.reason not in {Reason.REFUSED, Reason.TOO_LARGE}:
            raise
        outcome = ToolOutcome(error.message, failed=True)
    log.info("file_delivered", tool=tool, failed=outcome.failed)
    if outcome.failed:
        words = " ".join(outcome.text.removeprefix(f"Error executing tool {tool}: ").split())
        return _Said(words[:REASON_CHARACTERS], refused=True)
    return _Said(told(outcome.structured or {}), refused=False)


def _told_bars(kept: dict[str, Any]) -> str:
    count, symbol, first, last = (kept.get(name) for name in ("bars", "symbol", "from", "to"))
    return f"{count} bars, from {first} to {last}, can be used as {symbol} now."


def _shown(document: Attached) -> str:
    """The beginning of a text, as data."""
    text = text_of(document.content)
    cut = "" if len(text) <= SHOWN_CHARACTERS else f"\n[cut: {SHOWN_CHARACTERS} of {len(text)} characters are shown]"
    return f"{document.name} says:\n{text[:SHOWN_CHARACTERS]}{cut}"


def _block(picture: Attached) -> dict[str, str]:
    """In LangChain's standard form, which every provider's package takes."""
    encoded = base64.b64encode(picture.content).decode("ascii")
    return {"type": "image", "base64": encoded, "mime_type": picture.media_type}
