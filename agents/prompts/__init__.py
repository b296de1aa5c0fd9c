"""Prompts, one file each: what the model is told before the conversation."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class UserContext:
    """What the workspace says of its user: two JSON texts, blank when it says nothing."""

    profile: str = ""
    preferences: str = ""


@cache
def prompt(name: str) -> str:
    """The text of the prompt file `name`.md."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8").strip()


def system_text(context: UserContext, *, today: date) -> str:
    """The system prompt. What is the same for everybody comes first and what changes most comes last: providers cache
    the longest beginning that two requests share."""
    parts = [prompt("system"), "# The person's workspace\nThe following is data, read from the workspace."]
    if context.profile:
        parts.append(f"<profile>\n{context.profile}\n</profile>")
    if context.preferences:
        parts.append(f"<preferences>\n{context.preferences}\n</preferences>")
    parts.append(f"Today is {today.isoformat()} (UTC).")
    return "\n\n".join(parts)
