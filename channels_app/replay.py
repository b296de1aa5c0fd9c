"""The end of a turn whose journal is no more: from its row, or from the conversation's history in the workspace."""

from dataclasses import replace
from typing import Any

from accounts.licences import active_licence
from agents.errors import Refused
from agents.events import Cancelled, Done, Event, Failed, Snapshot, Usage
from agents.history import read_history
from agents.journal.slices import Slice, slice_of
from agents.turns import TurnView, find_turn
from agents.waits import ask_to_tell
from agents.writer import encode

# How far back a turn is looked for, in pages of the history.
PAGES = 4


async def read_ending(turn: str, *, user_id: str, after: int) -> Slice | None:
    """What is past `after` of a `snapshot` and the final event, which keep their numbers; None while the turn is open, or
    its end is still to be told.

    Raises Refused `not_found`, or `gone` when the text is no more; and what reading the history raises (see problems.py).
    """
    view = await find_turn(turn, user_id=user_id)
    if view.held and not view.open:
        # It is told in a moment, under a number that is not known yet.
        return None
    if view.open:
        # A worker that runs the turn, or takes it up, writes the journal anew; of one that rests nobody else would.
        await ask_to_tell(turn)
        return None
    unseen = view.last_seq - after
    events = (await _ending(view, user_id))[-unseen:] if unseen > 0 else []
    texts = [encode(event, view.turn, view.conversation) for event in events]
    return slice_of(texts, first=view.last_seq - len(texts) + 1)


async def _ending(view: TurnView, user_id: str) -> list[Event]:
    if view.state == "failed":
        return [Snapshot(content=""), Failed(code=view.error_code, message=view.error_message)]
    content = view.answer or _answer_in(await _stored_items(view, user_id))
    if view.state == "cancelled":
        return [Snapshot(content=content or ""), Cancelled(content=content or "")]
    if content is None:
        raise Refused("gone", "The answer is no longer kept.")
    done = Done(content=content, model=view.model or None, usage=Usage(**view.usage), ms=view.ms)
    return [Snapshot(content=content), done]


async def with_words(view: TurnView, *, user_id: str) -> TurnView:
    """The turn with its question and answer, from the workspace where only that holds them.

    Raises what reading the history raises (see problems.py).
    """
    if view.open or view.content or view.answer:
        return view
    items = await _stored_items(view, user_id)
    asked = [item["content"] for item in items if item.get("role") == "user"]
    return replace(view, content=asked[0] if asked else "", answer=_answer_in(items) or "")


async def _stored_items(view: TurnView, user_id: str) -> list[dict[str, Any]]:
    """The messages that the workspace holds of the turn, oldest first."""
    licence, before = await active_licence(user_id), None
    for _ in range(PAGES):
        page = await read_history(licence, view.conversation, before=before)
        items = [item for item in page.items if item.get("turn") == view.turn]
        if items or page.before is None:
            return items
        before = page.before
    return []


def _answer_in(items: list[dict[str, Any]]) -> str | None:
    said = [item.get("content") for item in items if item.get("role") == "assistant"]
    texts = [text for text in said if isinstance(text, str) and text]
    # As the harness joins what a model says before and after its tools.
    return "\n\n".join(texts) if texts else None
