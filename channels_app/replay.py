"""The end of a turn whose journal is no more: from its row, or from the conversation's history in the workspace."""

from typing import Any

from accounts.licences import active_licence
from agents.errors import Refused
from agents.events import Cancelled, Done, Event, Failed, Snapshot, Usage
from agents.history import read_history
from agents.journal.slices import Slice, slice_of
from agents.turns import TurnView, find_turn
from agents.writer import encode

# How far back a turn is looked for, in pages of the history.
PAGES = 4


async def read_ending(turn: str, *, user_id: str, after: int) -> Slice | None:
    """What is past `after` of a `snapshot` and the final event, which keep their numbers; None while the turn is open.

    Raises Refused `not_found`, or `gone` when the text is no more; and what reading the history raises (see problems.py).
    """
    view = await find_turn(turn, user_id=user_id)
    if view.open:
        return None
    unseen = view.last_seq - after
    events = (await _ending(view, user_id))[-unseen:] if unseen > 0 else []
    texts = [encode(event, view.turn, view.conversation) for event in events]
    return slice_of(texts, first=view.last_seq - len(texts) + 1)


async def _ending(view: TurnView, user_id: str) -> list[Event]:
    if view.state == "failed":
        return [Snapshot(content=""), Failed(code=view.error_code, message=view.error_message)]
    content = view.answer or await _stored_answer(view, user_id)
    if view.state == "cancelled":
        return [Snapshot(content=content or ""), Cancelled(content=content or "")]
    if content is None:
        raise Refused("gone", "The answer is no longer kept.")
    done = Done(content=content, model=view.model or None, usage=Usage(**view.usage), ms=view.ms)
    return [Snapshot(content=content), done]


async def _stored_answer(view: TurnView, user_id: str) -> str | None:
    """The text that the workspace holds of the turn's answer; None when it has none."""
    licence, before = await active_licence(user_id), None
    for _ in range(PAGES):
        page = await read_history(licence, view.conversation, before=before)
        answer = _answer_in(page.items, view.turn)
        if answer is not None or page.before is None:
            return answer
        before = page.before
    return None


def _answer_in(items: list[dict[str, Any]], turn: str) -> str | None:
    said = [item.get("content") for item in items if item.get("turn") == turn and item.get("role") == "assistant"]
    texts = [text for text in said if isinstance(text, str) and text]
    # As the harness joins what a model says before and after its tools.
    return "\n\n".join(texts) if texts else None
