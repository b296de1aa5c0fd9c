"""Clicks on an approval; also a process of its own, which reads a JSON list of them a line and answers what came of each."""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

JSON = dict[str, Any]


class Click(NamedTuple):
    """One attempt: approve, reject, replay (the approval as it was seen before), expire or stop."""

    turn: str
    approval: str
    what: str
    user: str
    channel: str


async def do(click: Click) -> str:
    """What came of it: the state that it gave, `stopped`, or the code of its refusal."""
    from agents.approvals import Decision, decide
    from agents.errors import Refused
    from agents.turns import cancel_turn
    from agents.waits import expire_waits

    try:
        if click.what == "stop":
            await cancel_turn(click.turn, user_id=click.user)
            return "stopped"
        if click.what == "expire":
            await expire_waits()
            return "swept"
        choice: Any = "approve" if click.what == "replay" else click.what
        digest = "0" * 64 if click.what == "replay" else ""
        decision = Decision(
            approval=click.approval, choice=choice, user_id=click.user, channel=click.channel, digest=digest
        )
        return (await decide(decision)).state
    except Refused as refused:
        return refused.code


async def do_all(clicks: list[Click]) -> list[str]:
    """All of them at once."""
    return list(await asyncio.gather(*(do(click) for click in clicks)))


class OtherProcess:
    """A second process on the same database."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, database_url: str) -> "OtherProcess":
        """Start it."""
        environment = os.environ | {"DATABASE_URL": database_url, "REDIS_URL": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agents.tests.clicks",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, limit=2**20,
        )  # fmt: skip
        return cls(process)

    async def do_all(self, clicks: list[Click]) -> list[str]:
        """All of them at once, there."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(clicks).encode() + b"\n")
        await stdin.drain()
        answers: list[str] = json.loads(await stdout.readline())
        return answers

    async def end(self) -> None:
        """End it, and wait until it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def _serve() -> None:
    from gateway.db import close_pool, open_pool

    await open_pool()
    while line := await asyncio.to_thread(sys.stdin.readline):
        clicks = [Click(*each) for each in json.loads(line)]
        print(json.dumps(await do_all(clicks)), flush=True)  # noqa: T201 - the other process reads it
    await close_pool()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    import django

    django.setup()
    asyncio.run(_serve())
