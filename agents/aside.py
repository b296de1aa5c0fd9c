"""What stands before the person's message: the day, and what their workspace knows that may matter for it.

Pure. It changes with each message, so it comes last in the prompt, and all before it is the same as the turn before.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from agents.mcp.limits import capped
from agents.prompts import prompt

JSON = dict[str, Any]

# Bytes. Uncached in each prompt, so that all of it takes a few thousand tokens at the most.
PROFILE_BYTES = 8 * 1024
MEMORIES_BYTES = 4 * 1024
PASSAGES_BYTES = 6 * 1024
MEMORY_CHARACTERS = 500
PASSAGE_CHARACTERS = 1500

# What a profile says besides memories, which have their own place: numbers that change with every turn are of no use.
_LEFT_OUT = ("memories", "memories_total", "documents_total", "storage")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of one of the user's documents, and where it stands."""

    document: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the workspace says: two JSON texts, blank when it says nothing, and what was found for the message.

    `attached` tells of the files that came with it.
    """

    profile: str = ""
    preferences: str = ""
    memories: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    attached: tuple[str, ...] = ()


def aside_text(known: Known, *, today: date) -> str:
    """The text, in which nothing that was read can end the block it stands in."""
    profile = _object(known.profile)
    memories = dict.fromkeys([*_memories(profile), *known.memories])
    parts = [
        _block("profile", [capped(_plain(profile, known.profile), limit_bytes=PROFILE_BYTES)]),
        _block(
            "preferences", [capped(_plain(_object(known.preferences), known.preferences), limit_bytes=PROFILE_BYTES)]
        ),
        _block("memories", _within((f"- {_line(each, MEMORY_CHARACTERS)}" for each in memories), MEMORIES_BYTES)),
        _block("documents", _within(map(_passage, known.passages), PASSAGES_BYTES)),
        _block("attached", known.attached),
    ]
    inside = "\n".join([prompt("context").text, f"Today is {today.isoformat()} (UTC).", *filter(None, parts)])
    return f"<context>\n{inside}\n</context>"


def summary_text(summary: str) -> str:
    """What stands in the place of the messages that a summary covers."""
    return f"{prompt('earlier').text}\n{_block('summary', [summary])}"


def profile_counts(profile: str) -> tuple[int | None, int | None]:
    """How many memories a profile does not show, and how many documents there are; None = it does not say."""
    found = _object(profile) or {}
    total, documents = found.get("memories_total"), found.get("documents_total")
    shown = len(_memories(found))
    return (
        total - shown if isinstance(total, int) else None,
        documents if isinstance(documents, int) else None,
    )


def _object(text: str) -> JSON | None:
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(values: JSON | None, text: str) -> str:
    """The values that say something, always in one form; a text that is no JSON object as it is."""
    if values is None:
        return text
    said = {name: value for name, value in values.items() if name not in _LEFT_OUT and value not in (None, [], {})}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else ""


def _memories(profile: JSON | None) -> list[str]:
    found = (profile or {}).get("memories")
    return (
        [str(each["content"]) for each in found if isinstance(each, dict) and each.get("content")]
        if isinstance(found, list)
        else []
    )


def _passage(passage: Passage) -> str:
    return f"- {_line(passage.document, 200)}, {passage.place}: {_line(passage.text, PASSAGE_CHARACTERS)}"


def _line(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _within(lines: Iterable[str], limit_bytes: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        limit_bytes -= len(line.encode("utf-8", "replace")) + 1
        if limit_bytes < 0:
            break
        kept.append(line)
    return kept


def _block(name: str, lines: Iterable[str]) -> str:
    # "<\/" is the same to a reader and to JSON, and no end of a block.
    inside = "\n".join(line for line in lines if line).replace("</", "<\\/")
    return f"<{name}>\n{inside}\n</{name}>" if inside else ""
