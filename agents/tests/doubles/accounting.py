"""How a provider's cache counts a prompt: what it has read of the same beginning before.

Sources: platform.openai.com/docs, Prompt caching (automatic, from 1,024 tokens in steps of 128);
platform.claude.com/docs, Prompt caching (up to marked blocks, found again from at most twenty blocks behind a mark).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
LEAST_TOKENS = 1024
STEP_TOKENS = 128
LOOK_BACK = 20
MOST_MARKS = 4


@dataclass
class OpenAIAccount:
    """Keeps every prompt that was read."""

    read: list[str] = field(default_factory=list)

    def count(self, body: JSON) -> tuple[int, int]:
        """The tokens of a prompt, and how many of them the cache held."""
        text = json.dumps([body.get("tools", []), body["messages"]])
        shared = max((_shared(text, other) for other in self.read), default=0) // CHARACTERS_PER_TOKEN
        self.read.append(text)
        cached = shared // STEP_TOKENS * STEP_TOKENS if shared >= LEAST_TOKENS else 0
        return len(text) // CHARACTERS_PER_TOKEN, cached


@dataclass
class AnthropicAccount:
    """Keeps the beginnings that were marked."""

    kept: set[str] = field(default_factory=set)

    def count(self, body: JSON) -> tuple[int, int]:
        """The tokens of a prompt, and how many of them the cache held."""
        digest, size, cached = hashlib.sha256(), 0, 0
        beginnings: list[tuple[str, int]] = []
        marks = []
        for index, block in enumerate(_blocks(body)):
            text = json.dumps({name: value for name, value in block.items() if name != "cache_control"})
            digest.update(text.encode())
            size += len(text)
            beginnings.append((digest.hexdigest(), size // CHARACTERS_PER_TOKEN))
            if "cache_control" in block:
                marks.append(index)
        assert len(marks) <= MOST_MARKS, "the vendor refuses more"
        for mark in marks:
            behind = beginnings[max(0, mark - LOOK_BACK) : mark + 1]
            cached = max([cached, *(tokens for known, tokens in behind if known in self.kept)])
        self.kept |= {beginnings[mark][0] for mark in marks}
        return size // CHARACTERS_PER_TOKEN, cached


def _blocks(body: JSON) -> Iterator[JSON]:
    yield from body.get("tools", [])
    for message in [{"role": "system", "content": body.get("system", [])}, *body["messages"]]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from ({"role": message["role"], **block} for block in blocks)


def _shared(text: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] == other[:middle] else (low, middle - 1)
    return low
