"""The sends of whole worker processes. Source: DESIGN.md section 5: deliveries; every message once, each chat in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents.tests.engine import TestWorker, say
from channels_app import deliveries
from channels_app.tests.chats.bot_api import HELD, BotApi
from channels_app.tests.chats.conftest import rows
from channels_app.tests.chats.sending import states, tell
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

PATIENCE_S = 10

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


@asynccontextmanager
async def running() -> AsyncIterator[Services]:
    """A worker process with the deliveries alone."""
    services = Services(Lease("test"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    delivering = asyncio.create_task(deliveries.run(services))
    # It asks for its signals before anything is listened for.
    await asyncio.sleep(0)
    listening = asyncio.create_task(services.wakeups.run())
    try:
        yield services
    finally:
        services.stopping.set()
        services.wakeups.wake_all()
        async with asyncio.timeout(PATIENCE_S):
            await delivering
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await asyncio.to_thread(services.lease.release)


async def settled(count: int) -> None:
    """Wait until so many rows are final."""
    query = f"SELECT count(*) >= {count} FROM deliveries WHERE settled_at IS NOT NULL"
    async with asyncio.timeout(PATIENCE_S):
        while await rows(query) != [(True,)]:  # noqa: ASYNC110 - the row is settled by another task
            await asyncio.sleep(0.01)


async def test_a_turns_answer_reaches_its_chat(users: dict[str, str], worker: TestWorker, bot_api: BotApi) -> None:
    async with running():
        accepted = await say("Hello", channel="telegram")
        await worker.claim()
        await worker.order(accepted.turn, "say", "Hello, **you**.")
        await worker.order(accepted.turn, "finish")
        await worker.done(accepted.turn)
        await bot_api.until(lambda api: len(api.shown) == 1)
        await settled(1)

    assert bot_api.shown == [(1, "Hello, <b>you</b>.")]
    assert await rows("SELECT turn_id::text FROM deliveries") == [(accepted.turn,)]


async def test_two_workers_send_everything_once_and_each_chat_in_order(bot_api: BotApi) -> None:
    chats = range(1, 21)
    async with running(), running():
        for text in ("first", "second"):
            for chat in chats:
                await tell(text, chat=chat)
        await settled(40)

    assert sorted(chat for chat, _ in bot_api.shown) == sorted([*chats, *chats])
    assert all(bot_api.texts(chat) == ["first", "second"] for chat in chats)


async def test_a_worker_that_is_told_to_stop_lets_what_is_on_its_way_arrive(bot_api: BotApi) -> None:
    bot_api.script.append(HELD)
    async with running() as services:
        await tell("on its way")
        await bot_api.until(lambda api: len(api.calls) == 1)
        services.stopping.set()
        services.wakeups.wake_all()
        await tell("too late")
        bot_api.released.set()

    assert await states() == ["sent", "pending"]
    assert bot_api.texts(7) == ["on its way"]
