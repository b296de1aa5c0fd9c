"""A conversation with the agent, and models that say what they are told to."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from accounts.licences import Licence
from agents import harness
from agents.events import Event, Token
from agents.harness_types import Answer, TurnRequest
from agents.history import append_turn
from agents.tests.doubles.http_server import Reply, ScriptedServer, sse
from agents.tests.doubles.vendors import Spoken, events
from gateway.ids import new_id

JSON = dict[str, Any]
USER = "demo-pro"
# Two models of one vendor, of which the second sees, and a third of another.
CATALOGUE = """
[[model]]
provider = "openai"
name = "one"
size = "large"
input = 2.0
cached = 0.2
output = 8.0
context = 5000

[[model]]
provider = "openai"
name = "two"
size = "large"
sees = true
input = 4.0
cached = 0.4
output = 16.0
context = 100000

[[model]]
provider = "openrouter"
name = "three"
size = "small"
input = 1.0
cached = 0.1
output = 4.0
context = 100000
"""


@dataclass
class Talk:
    """A user's conversation with the agent: `say` runs a turn and stores it, as the engine does."""

    licence: Licence
    conversation: str = field(default_factory=new_id)
    events: list[Event] = field(default_factory=list)
    first_token: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, content: str, *, channel: str = "web", **choices: Any) -> Answer:
        turn = new_id()
        self.events.clear()
        answer = await harness.run_agent(self.request(content, turn=turn, channel=channel, **choices), self.emit)
        assert isinstance(answer, Answer)
        await append_turn(self.licence, self.conversation, turn, answer.messages)
        return answer

    def request(self, content: str, *, turn: str = "", channel: str = "web", **choices: Any) -> TurnRequest:
        return TurnRequest(
            turn=turn or new_id(),
            conversation=self.conversation,
            user_id=USER,
            channel=channel,
            content=content,
            licence=self.licence,
            **choices,
        )

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Token):
            self.first_token.set()

    def shown(self) -> str:
        return "".join(event.content for event in self.events if isinstance(event, Token))

    def kinds(self) -> list[str]:
        """The events' types, a run of tokens as one."""
        kinds = [event.type for event in self.events]
        return [
            kind for index, kind in enumerate(kinds) if index == 0 or kind != "token" or kinds[index - 1] != "token"
        ]


def openai(settings: Any, server: ScriptedServer) -> None:
    """Let the scripted server be the configured default."""
    settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL = "openai", "scripted"
    settings.OPENAI_BASE_URL = f"{server.url}/v1"


def says(*pieces: str) -> Reply:
    return sse(*events("openai", Spoken(text=pieces)))


def breaks_off(*pieces: str) -> Reply:
    """An answer whose stream ends before its end."""
    return sse(*events("openai", Spoken(text=pieces, finished=False)))


def calls(name: str, arguments: JSON | str, *, saying: str = "") -> Reply:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return sse(
        *events("openai", Spoken(text=(saying,) if saying else (), tool=f"workspace__{name}", arguments=(given,)))
    )


def reach(settings: Any, server: ScriptedServer, *, other: ScriptedServer | None = None) -> None:
    """Have `server` be OpenAI, and `other` OpenRouter."""
    settings.OPENAI_BASE_URL = f"{server.url}/v1"
    settings.OPENROUTER_BASE_URL = f"{(other or server).url}/v1"
