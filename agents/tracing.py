"""LangSmith stays off: a variable left in a shell must not send whole conversations to it."""

import os
from collections.abc import Callable
from contextvars import Context
from typing import Any

# langsmith.utils.tracing_is_enabled reads TRACING_V2 first, then TRACING, each with both prefixes.
_SWITCHES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")


def forbid_tracing() -> None:
    """Turn tracing off for this process, whatever its environment says. Call before langchain is imported."""
    for name in _SWITCHES:
        os.environ[name] = "false"


def keep_to_the_loop() -> None:
    """Have LangSmith's part of a model call, which does nothing when it is off, done without a thread.

    By itself it hands each call to one twice, and a busy event loop gives a thread its turn after 5 ms at the earliest.
    """
    import langsmith  # noqa: PLC0415 - only with what brings it

    langsmith.set_runtime_overrides(aio_to_thread=_at_once)


async def _at_once(
    _default: Callable[..., Any], context: Context, act: Callable[..., Any], /, *args: Any, **named: Any
) -> Any:
    return context.run(act, *args, **named)
