"""The sends of whole worker processes. Source: DESIGN.md section 5: deliveries; every message once, each chat in order."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents.tests.engine import TestWorker, say
from channels_app import deliveries
from channels_app.deliveries import dispatcher
from channels_app.tests.chats.bot_api import HELD, BotApi, Reply
from channels_app.tests.chats.sending import states, tell
from channels_app.tests.chats.tables import link, rows
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

PATIENCE_S = 10

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


@asynccontextmanager
async def running(service: Callable[[Services], Coroutine[Any, Any, None]] = deliveries.run) -> AsyncIterator[Services]:
    """A worker process with one service alone."""
    services = Services(Lease("test"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    delivering = asyncio.create_task(service(services))
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
    await link("demo-pro", 1)
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


@pytest.mark.parametrize("message_id", ["1\x00", "\ud800"])
async def test_a_receipt_that_no_column_can_hold_blocks_no_chat(bot_api: BotApi, message_id: str) -> None:
    result = {"message_id": message_id, "date": 1, "chat": {"id": 7, "type": "private"}}
    bot_api.script.append(Reply(200, json.dumps({"ok": True, "result": result}).encode()))
    async with running():
        await tell("first")
        await settled(1)
        await tell("second")
        await settled(2)

    assert await rows("SELECT state, receipt FROM deliveries ORDER BY id") == [("sent", ""), ("sent", "1001")]


@asynccontextmanager
async def refused(step: str, table: str) -> AsyncIterator[None]:
    """A database that refuses a kind of statement, as one that fails over."""
    await rows(
        "CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$"
    )
    await rows(f"CREATE TRIGGER refuse_writes BEFORE {step} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_writes()")
    try:
        yield
    finally:
        await rows("DROP FUNCTION refuse_writes CASCADE")


async def test_a_database_that_is_read_only_for_a_while_ends_nothing(
    bot_api: BotApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "DATABASE_RETRY_S", 0.05)
    async with running():
        async with refused("UPDATE", "deliveries"):
            await tell("text")
            async with asyncio.timeout(PATIENCE_S):
                while "ReadOnlySqlTransaction" not in caplog.text:  # noqa: ASYNC110 - only a log tells of it
                    await asyncio.sleep(0.01)
        await tell("next", chat=8)
        await settled(2)

    assert await states() == ["sent", "sent"]


async def test_a_delivery_that_its_process_holds_and_does_not_send_is_given_up(
    bot_api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "SWEEP_EVERY_S", 0.05)
    await tell("may have arrived")
    await tell("not begun", chat=8)
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp() + interval '1 hour'")
    async with running() as services:
        await rows(f"UPDATE deliveries SET holder = '{services.lease.id}', fence = 1")
        await rows("UPDATE deliveries SET state = 'sending' WHERE lane_id = 'telegram:7'")
        await rows("UPDATE chat_lanes SET not_before = clock_timestamp()")
        await settled(2)

    assert await states() == ["ambiguous", "sent"]
