"""What a licence does not allow; the text is written for its user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Literal

WindowName = Literal["minute", "day"]


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window of messages: how many were accepted in the last `seconds`, of the `limit` (None = no limit).

    `resets_in_s` is when one more may be sent, or when the oldest leaves the window; None = never (a limit of 0).
    """

    name: WindowName
    seconds: int
    limit: int | None
    used: int
    resets_in_s: float | None
    resets_at: datetime | None

    @property
    def full(self) -> bool:
        """Whether one message more would be too many."""
        return self.limit is not None and self.used >= self.limit


class NotIncluded(Exception):
    """Your licence does not include this."""

    code = "not_included"


class LimitReached(Exception):
    """A limit of the licence is reached; `retry_after_s` is when it resets (seconds; None = it does not).

    `windows` are all windows of messages, for those who can show them.
    """

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float | None, windows: Sequence[Window] = ()) -> None:
        super().__init__(message)
        self.retry_after_s = None if retry_after_s is None else max(1, ceil(retry_after_s))
        self.windows = tuple(windows)


class BudgetExhausted(LimitReached):
    """The month's tokens or money are used up, or set aside for what runs."""

    code = "budget_exhausted"
