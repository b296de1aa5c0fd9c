"""The talk so far and the next step in it, without any library's types."""

from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What a tool answered in this turn: its plain name, and its JSON or, when it failed, its text."""

    tool: str
    values: JSON | None
    text: str


@dataclass(frozen=True, slots=True)
class Talk:
    """What the user wrote, oldest first and the present message last, and the tools' replies to the present one.

    `tools` are the plain names of what may be called.
    """

    said: tuple[str, ...]
    replies: tuple[ToolReply, ...] = ()
    tools: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The message to answer."""
        return self.said[-1] if self.said else ""


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool, by its plain name."""

    tool: str
    arguments: JSON = field(default_factory=dict)


Step = Say | Call
