"""What an entry function is given and gives back: `run(task: Task) -> Result` in a module of this package.

It runs in a confined child (`mcp_server/sandbox`): no network, no files but the libraries and its own folder (which is the
working directory), no processes, no threads. Exceptions that it lets pass are named by the sandbox: `Refused` becomes
StrategyFailed, what `limit_met` knows becomes OutOfMemory, Forbidden or OutputTooLarge; anything else is a fault of the entry
and becomes JobDied. So an entry that runs a user's code turns that code's errors into `Refused`, but lets pass those that
`limit_met` knows.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# The file name to compile a strategy's source under, so that the line of what it may not do is found.
STRATEGY_FILE = "<strategy>"

# `report(done, total, text)`, called as often as one likes: what comes too often is dropped.
Report = Callable[[float, float | None, str], None]


def no_report(_done: float, _total: float | None, _text: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked: plain JSON, and read-only arrays of float64, int64 or bool by name."""

    arguments: dict[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    report: Report = no_report


@dataclass(frozen=True, slots=True)
class Result:
    """What is answered: plain JSON without NaN, arrays of float64, int64 or bool by name (NaN allowed), and bytes by name."""

    values: dict[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)


def without_paths(text: str) -> str:
    """The text without the folders in it: Python tells where it found a module, "cannot import name 'x' (/usr/lib/…/y.py)"."""
    return re.sub(r"(?<![\w.])/[^\s'\"()]*/", "", text)


class Refused(Exception):
    """The user's code can't be run or broke its contract. The message is for its author; `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


# What Python raises where the sandbox says no, by errno. EXDEV is Landlock's for a link or a move across its borders; EFBIG
# comes of RLIMIT_FSIZE.
LIMITS_BY_ERRNO = {
    errno.EPERM: "forbidden",
    errno.EACCES: "forbidden",
    errno.EXDEV: "forbidden",
    errno.ENOMEM: "memory",
    errno.EFBIG: "disk",
}


def limit_met(error: BaseException) -> str | None:
    """Which of the sandbox's limits is behind this, "memory", "forbidden" or "disk"; None for any other error.

    Libraries raise errors of their own over it: urllib a URLError, ccxt a NetworkError.
    """
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if found := _limit(cause):
            return found
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _limit(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError):
        return LIMITS_BY_ERRNO.get(error.errno or 0)
    # threading says no more than this.
    return "forbidden" if isinstance(error, RuntimeError) and str(error) == "can't start new thread" else None
