"""A page of a conversation's past: its messages from the workspace, and how its turns ended from the gateway."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from accounts.licences import Licence
from agents.history import read_history
from agents.turn_facts import TurnFacts, facts_of_turns
from channels_app.protocol.server import Ending, Trouble


@dataclass(frozen=True, slots=True)
class Past:
    """Messages, oldest first; `before` asks for the page of older ones, `turns` are the endings by turn."""

    items: list[dict[str, Any]]
    before: int | None
    turns: dict[str, Ending]


async def read_past(licence: Licence, conversation: str, *, before: int | None, limit: int) -> Past:
    """The newest `limit` messages, or those older than `before`. Raises what reading the history raises (see problems.py)."""
    page = await read_history(licence, conversation, before=before, limit=limit)
    turns = (item["turn"] for item in page.items if isinstance(item.get("turn"), str))
    return Past(page.items, page.before, _endings(await facts_of_turns(turns, user_id=licence.user_id)))


def _endings(found: Iterable[TurnFacts]) -> dict[str, Ending]:
    return {
        facts.turn: Ending.model_validate(
            {
                "state": facts.state,
                "usage": facts.usage or None,
                "ms": max(0, facts.ms),
                "error": Trouble(code=facts.error_code, message=facts.error_message) if facts.error_code else None,
            }
        )
        for facts in found
    }
