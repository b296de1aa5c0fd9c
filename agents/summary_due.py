"""When a conversation's older part should be summed up, and how much of it. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from agents.estimates import text_tokens
from agents.mcp.recent import Recent

JSON = dict[str, Any]

# Of the budget for earlier turns: late enough that prompts share a long beginning for many turns, early enough that
# nothing falls out of the window before it is summed up.
DUE_AT = 0.6
# However short they are; a workspace shows 200 at once.
DUE_MESSAGES = 120
# What stays word for word beside the summary: of the budget, in messages; and whatever they take, the last turns.
KEPT = 0.15
KEPT_MESSAGES = 40
LEAST_KEPT_TURNS = 2


def is_due(recent: Recent, *, budget: int) -> bool:
    """Whether the messages that no summary covers have become many."""
    return len(recent.items) >= DUE_MESSAGES or sum(map(tokens_of, recent.items)) > budget * DUE_AT


def kept_messages(items: Sequence[JSON], *, budget: int) -> int:
    """How many of the newest messages stay as they are: whole turns."""
    kept, turns, used = 0, 0, 0
    for index in range(len(items) - 1, -1, -1):
        used += tokens_of(items[index])
        if index and items[index - 1].get("turn") == items[index].get("turn"):
            continue
        too_many = used > budget * KEPT or len(items) - index > KEPT_MESSAGES
        if turns >= LEAST_KEPT_TURNS and too_many:
            break
        turns += 1
        kept = len(items) - index
    return kept


def tokens_of(message: JSON) -> int:
    """About how many tokens a stored message takes."""
    return text_tokens(json.dumps(message, ensure_ascii=False, default=str))
