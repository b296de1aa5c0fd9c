"""Whatever the models' servers do, every turn ends once, and nothing is left behind.

Source: DESIGN section 2: every accepted message ends answered or with a reason. Provider chaos (random
429/500/cut/slow): every turn ends done or failed with a reason; none twice; no task or connection left behind.
`SEED=… make soak ARGS="-k chaos"` repeats a run.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from accounts.budgets import budget_of
from accounts.models import UserLicence
from agents import harness
from agents.brain import Brain
from agents.conversations import create_conversation
from agents.tests.doubles.http_server import Asked, Reply, ScriptedServer, answering_server, sse
from agents.tests.doubles.mcp_double import mcp_double, result, text, tool
from agents.tests.doubles.vendors import Spoken, events, tool_results
from agents.tests.engine import frames, let_retries_be_due, say
from agents.worker import Worker
from gateway import db
from gateway.db import connection
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool", "signing_key")]

VENDORS = ["anthropic", "google", "openai", "openrouter"]
USERS = ["demo-pro", "demo-enterprise"]
UNLIMITED = {"messages_per_minute": None, "messages_per_day": None, "turns_at_once": None, "tokens_per_month": None}
PATIENCE_S = 100
# Turns whose conversations are open at once: more and the machine measures itself.
AT_ONCE = 50


def misbehaving(vendor: str, chance: random.Random) -> Callable[[Asked], Reply]:
    """A server of the vendor's format on a bad day; half of its answers are whole."""

    def answer(asked: Asked) -> Reply:
        calls = not tool_results(vendor, asked.body) and chance.random() < 0.3
        whole = Spoken(
            text=("The RSI ", "is ", "41."),
            tool="workspace__look" if calls else "",
            arguments=("{", "}") if calls else (),
        )
        stream = sse(*events(vendor, whole))
        cut = sse(*events(vendor, Spoken(text=("The RSI ", "is"), finished=False)))
        garbled = Spoken(tool="workspace__look", arguments=("{}",) if vendor == "google" else ('{"a": ',))
        return chance.choice(
            [
                *[stream] * 7,
                Reply(429, headers=(("Retry-After", "1"),)),
                Reply(500),
                Reply(529, b"overloaded"),
                cut,
                replace(cut, cut=True),
                replace(stream, after_s=0.05),
                sse(*events(vendor, garbled)),
            ]
        )

    return answer


@asynccontextmanager
async def bad_day(settings: Any, seed: int) -> AsyncIterator[list[ScriptedServer]]:
    """All four providers, each at a server that misbehaves, and users whose tools are at a double."""
    async with AsyncExitStack() as stack:
        double = await stack.enter_async_context(mcp_double(tool("look"), call=lambda asked: result(asked, text("41"))))
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        await UserLicence.objects.filter(user_id__in=USERS).aupdate(
            mcp_server_url=double.url, resource_limits=UNLIMITED
        )
        servers = []
        for number, vendor in enumerate(VENDORS):
            server = await stack.enter_async_context(
                answering_server(misbehaving(vendor, random.Random(seed + number)))  # noqa: S311 - a test's dice
            )
            path = "" if vendor in {"anthropic", "google"} else "/v1"
            setattr(settings, f"{vendor.upper()}_BASE_URL", server.url + path)
            servers.append(server)
        yield servers


@asynccontextmanager
async def working(brain: Brain) -> AsyncIterator[None]:
    services = Services(Lease("test"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    task = asyncio.create_task(Worker(services, brain=brain).run())
    await asyncio.sleep(0)
    listening = asyncio.create_task(services.wakeups.run())
    try:
        yield
    finally:
        services.stopping.set()
        services.wakeups.wake_all()
        await task
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await asyncio.to_thread(services.lease.release)


async def all_ended(turns: list[str]) -> list[tuple[str, str, str]]:
    """Turn, state and code of each, once all have ended and are stored."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await let_retries_be_due()
            async with connection() as conn:
                cursor = await conn.execute(
                    "SELECT id::text, state, error_code FROM turns WHERE id = ANY(%s)"
                    " AND state IN ('done', 'failed') AND holder IS NULL",
                    (turns,),
                )
                found = await cursor.fetchall()
            if len(found) == len(turns):
                return found
            await asyncio.sleep(0.05)


async def chaos(settings: Any, *, turns: int) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(2**31))  # noqa: S311 - a test's dice
    print(f"SEED={seed}")  # noqa: T201 - shown when the test fails, to repeat it
    before = asyncio.all_tasks()
    remembered: Counter[str] = Counter()

    async def remember(_licence: Any, _conversation: str, turn: str, _messages: Any) -> None:
        remembered[turn] += 1

    async with bad_day(settings, seed) as servers:
        async with working(Brain(run=harness.run_agent, remember=remember)):
            ended: list[tuple[str, str, str]] = []
            for begin in range(0, turns, AT_ONCE):
                batch = [
                    (await say("RSI of SPX?", user=user, conversation=(await create_conversation(user)).id)).turn
                    for user in (USERS[number % len(USERS)] for number in range(begin, min(begin + AT_ONCE, turns)))
                ]
                ended += await all_ended(batch)
        await harness.close()
        async with asyncio.timeout(60):
            for server in servers:
                # Nobody was there, or all have left.
                if server.asked:
                    await server.empty.wait()

    assert len(ended) == turns
    assert all(code for _, state, code in ended if state == "failed")
    assert any(state == "done" for _, state, _ in ended)
    for turn, state, _ in ended:
        last = [frame["type"] for frame in await frames(turn) if frame["type"] in {"done", "failed", "cancelled"}]
        assert last == [state]
    assert set(remembered.values()) <= {1}
    assert set(remembered) >= {turn for turn, state, _ in ended if state == "done"}
    for user in USERS:
        assert (await budget_of(user)).tokens_reserved == 0
    # The pool's own tasks come and go.
    await db.close_pool()
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_on_a_bad_day_of_all_providers_every_turn_ends_once_in_chaos(settings: Any) -> None:
    await chaos(settings, turns=40)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_thousand_turns_of_chaos_end_once_each(settings: Any) -> None:
    await chaos(settings, turns=1000)
