"""How long a server at rest takes to its first token, and in the gateway's case where that time goes.

The frames that the client gets tell when a message was accepted and when a model was chosen; the stubs tell when the
workspace and the model were asked. All of it is on the machine's one monotonic clock.
"""

import asyncio
import json
import statistics
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from bench.rig import HOST, Peers, Server

ENDS = {"done", "end"}
FAULTS = {"error", "failed", "cancelled"}
TURN_S = 60.0
# Between two turns of a server at rest, so that one turn's aftercare is not the next one's wait.
PAUSE_S = 0.05

# What happens on the way, in its order; the time to each is from the one before it.
STAGES = ("accept", "claim", "context", "choose", "connect", "first_byte")


@dataclass(slots=True)
class Watched:
    """One turn: when it was asked, when each type of frame first came, and when the stubs were asked."""

    asked: float
    frames: dict[str, float] = field(default_factory=dict)
    requests: list[tuple[str, float]] = field(default_factory=list)

    @property
    def first_token_s(self) -> float:
        """From the question to the first piece of text."""
        return self.frames["token"] - self.asked

    def stages_s(self) -> dict[str, float]:
        """Seconds of each stage: accepted and said so, claimed by the worker until its first request to the workspace, the
        context read, a model chosen, the request at the model, the model's first bytes at the client.
        """
        before = [at for name, at in self.requests if name != "model" and at <= self.frames["started"]]
        asked = next(at for name, at in self.requests if name == "model")
        marks = [
            self.asked,
            self.frames["accepted"],
            min(before),
            max(before),
            self.frames["started"],
            asked,
            self.frames["token"],
        ]
        return {stage: after - earlier for stage, earlier, after in zip(STAGES, marks[:-1], marks[1:], strict=True)}


async def watch(server: Server, found: Peers, *, token: str, turns: int) -> list[Watched]:
    """Ask one question after another, the first few of which are not counted."""
    headers = {"Authorization": f"Bearer {token}"}
    seen = []
    async with connect(f"ws://{HOST}:{server.port}/ws/chat", additional_headers=headers, proxy=None) as client:
        for number in range(turns + 3):
            await asyncio.to_thread(_times, found)
            turn = await _ask(client)
            await asyncio.sleep(PAUSE_S)
            turn.requests = await asyncio.to_thread(_times, found)
            if number >= 3:
                seen.append(turn)
    return seen


def p50_ms(values: Sequence[float]) -> float:
    """The median, in milliseconds."""
    return round(statistics.median(values) * 1000, 1)


def stages_ms(turns: Sequence[Watched]) -> dict[str, float]:
    """The median of each stage, in milliseconds."""
    each = [turn.stages_s() for turn in turns]
    return {stage: p50_ms([stages[stage] for stages in each]) for stage in STAGES}


async def _ask(client: ClientConnection) -> Watched:
    turn = Watched(time.monotonic())
    await client.send(json.dumps({"type": "message", "content": "hello there"}))
    async with asyncio.timeout(TURN_S):
        while True:
            frame = json.loads(await client.recv())
            turn.frames.setdefault(frame["type"], time.monotonic())
            if frame["type"] in FAULTS:
                raise RuntimeError(f"The turn ended {frame}")
            if frame["type"] in ENDS:
                return turn


def _times(found: Peers) -> list[tuple[str, float]]:
    with urllib.request.urlopen(found.times_url, timeout=5) as answer:  # noqa: S310 - loopback
        return [(name, at) for name, at in json.load(answer)["times"]]
