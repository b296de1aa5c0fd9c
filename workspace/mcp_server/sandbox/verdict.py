"""What an ended job's end is called."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from mcp_server.errors import (
    Forbidden,
    JobDied,
    OutOfMemory,
    OutOfTime,
    OutputTooLarge,
    SandboxFailed,
    SandboxUnavailable,
    StrategyFailed,
)
from mcp_server.sandbox.wire import Failure


def of_failure(failure: Failure) -> SandboxFailed:
    """The error for what the job says went wrong. It may lie, about itself only."""
    match failure.kind:
        case "refused":
            return StrategyFailed(failure.message, failure.line)
        case "forbidden":
            place = "" if failure.line is None else f"line {failure.line}: "
            return Forbidden(f"{place}{failure.message}. {Forbidden.__doc__}")
        case "unavailable":
            return unavailable(failure.message)
        case kind if kind in BARE:
            return BARE[kind]()
        case _:
            return JobDied(f"The computation failed: {failure.message}")


def of_status(status: int, *, out_of_time: bool) -> SandboxFailed:
    """The error for a job that ended without a word; `status` is wait's."""
    if not os.WIFSIGNALED(status):
        return JobDied(f"The computation's process left with status {os.WEXITSTATUS(status)} before it answered.")
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU or (number == signal.SIGKILL and out_of_time):
        return OutOfTime()
    if number == signal.SIGSYS:
        return Forbidden()
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return JobDied(f"The computation's process was ended by {name} before it answered; it crashed or memory ran out.")


def folder_full() -> OutputTooLarge:
    """The error for a job that wrote too much."""
    return OutputTooLarge("The computation wrote more to its folder than it may. Write less.")


def unavailable(reason: str) -> SandboxUnavailable:
    """The error for a kernel that lacks something."""
    return SandboxUnavailable(f"{SandboxUnavailable.__doc__} The reason: {reason}.")


# Errors that need no more words.
BARE: dict[str, Callable[[], SandboxFailed]] = {"memory": OutOfMemory, "output": OutputTooLarge, "disk": folder_full}
