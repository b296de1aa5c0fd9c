"""Which task a turn was begun by: its answer comes by itself, so in a chat it says what it answers."""

from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from agents.schedules.rules import Rule, rule_of

JSON = dict[str, Any]
MOST_CHARS = 120
# Of a turn `t`: null when no task began it, {} when that is deleted by now. What has the form of an id of ours may be another's.
BEGUN_BY: LiteralString = """
    CASE WHEN t.external_id ~ '^schedule:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:' THEN COALESCE((
        SELECT s.spec || jsonb_build_object('number', s.number) FROM schedules s
        WHERE s.id = split_part(t.external_id, ':', 2)::uuid AND s.user_id = t.user_id AND s.kind = 'task'), '{}') END
"""


def task_words(rule: Rule, zone: ZoneInfo, text: str) -> str:
    """A task for a list."""
    return f"{rule.words()} ({zone}): {text}"


def name_of(begun_by: JSON | None) -> str:
    """The task that BEGUN_BY found, by its number and on one line; "" for what a user wrote."""
    if begun_by is None:
        return ""
    if not begun_by:
        return "A scheduled task"
    words = task_words(rule_of(begun_by["rule"]), ZoneInfo(begun_by["zone"]), " ".join(begun_by["text"].split()))
    return f"Task {begun_by['number']}, {words if len(words) <= MOST_CHARS else words[: MOST_CHARS - 1] + '…'}"
