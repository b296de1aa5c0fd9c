"""The marks of other processes: a user who is served by several gateways costs no more writes than one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.ids import new_uuid

# Part of each mark that this process writes.
PROCESS = str(new_uuid())


@dataclass(frozen=True)
class _Seen:
    mark: str
    at: float


class Marks:
    """When this process first saw the mark that stands on each Deployment."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def saw(self, name: str, mark: str, *, told: bool) -> None:
        """The Deployment's mark is this, "" = it has none or is gone; `told` = it was not there yet when all were listed."""
        if not mark:
            self._seen.pop(name, None)
        elif name not in self._seen or self._seen[name].mark != mark:
            self._seen[name] = _Seen(mark, self._clock() - (_age(mark) if told else float("inf")))

    def age(self, name: str) -> float:
        """How old the mark is, in seconds; endless when that is not known, and for one that this process has written itself."""
        seen = self._seen.get(name)
        return float("inf") if seen is None or PROCESS in seen.mark else self._clock() - seen.at


def _age(mark: str) -> float:
    """How old a new mark is by its own word: a watch that had broken off tells late. Endless without that word."""
    try:
        written = datetime.fromisoformat(mark.partition(" ")[0])
        return max((datetime.now(UTC) - written).total_seconds(), 0.0)
    except (ValueError, TypeError):
        # A person's, or one without a zone.
        return float("inf")
