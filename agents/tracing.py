"""LangSmith stays off: a variable left in a shell must not send whole conversations to it."""

import os

# langsmith.utils.tracing_is_enabled reads TRACING_V2 first, then TRACING, each with both prefixes.
_SWITCHES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")


def forbid_tracing() -> None:
    """Turn tracing off for this process, whatever its environment says. Call before langchain is imported."""
    for name in _SWITCHES:
        os.environ[name] = "false"
