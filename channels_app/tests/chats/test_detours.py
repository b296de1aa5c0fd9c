"""An alert or a task's answer for a chat that is its user's no more is told all the same. Source: operations.md, Schedules."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.licences import active_licence
from agents.schedules.alerts import Change, settle
from agents.schedules.crossings import Bar
from agents.schedules.prices import Prices
from agents.schedules.rows import AlertSpec, FirstLook, Schedule, TaskSpec, Where, add_alert, add_task, schedules_of
from agents.schedules.rules import Rule, zone_of
from agents.schedules.tasks import run_due
from agents.tests.engine import TestWorker, frames, say
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import Sender, deliver, new_sender
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.callback import WebhookDriver
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "This was to be told in Telegram, where I don't reach you any more."
TELEGRAM = Where("telegram", {"chat": 7, "message": 1})


@pytest.fixture
async def other(settings: Any, bot_api: BotApi, licensed: dict[str, str], pool: None) -> AsyncIterator[WebhookDriver]:
    """Another channel, in which demo-pro may be linked."""
    driver = WebhookDriver()
    async with driver.on(settings):
        yield driver


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


async def alert(where: Where = TELEGRAM) -> Schedule:
    """One that has just gone off, to be told in chat 7 of Telegram unless `where` says else."""
    bar = Bar("2024-01-02", Decimal(2), Decimal(1), Decimal(1))
    async with connection() as conn, conn.transaction():
        licence, spec = await active_licence("demo-pro"), AlertSpec("BTC", "below", Decimal(2))
        made = await add_alert(conn, licence, spec, where=where, look=FirstLook())
    fired = Change(timedelta(1), prices=Prices("BTC", (bar,)), fired=bar, armed=False, text="**BTC fell**", what="x")
    await settle(made, fired)
    return made


async def task_begun(worker: TestWorker) -> str:
    """The turn of one for chat 7 of Telegram."""
    zone = zone_of("UTC")
    assert zone is not None
    async with connection() as conn, conn.transaction():
        spec = TaskSpec(Rule("daily", 8, 0), zone, "RSI?")
        task = await add_task(conn, await active_licence("demo-pro"), spec, where=TELEGRAM)
    assert await run_due(now=task.due_at)
    turn = await worker.claim()
    assert turn is not None
    return turn


async def test_an_alert_for_a_dead_chat_is_told_in_the_others(
    sender: Sender, bot_api: BotApi, other: WebhookDriver
) -> None:
    for account in ("ada", "bob"):
        await link_account("demo-pro", "webhook", account)

    await alert()
    await deliver(sender)

    for account in ("ada", "bob"):
        [told] = other.shown(account)
        assert told.startswith("**BTC fell**\n\nℹ️ ")
        assert NOTE in told.replace("\\", "")
    assert bot_api.calls == []
    [after] = await schedules_of("demo-pro")
    assert after.delivered_at is not None


async def test_what_was_to_be_told_in_a_dead_chat_is_told_in_any_channel(chat: Chat) -> None:
    await alert(Where("telegram", {"chat": 99, "message": 1}))

    await chat.deliver()

    [told] = chat.driver.shown()
    assert "BTC fell" in told
    assert NOTE in told.replace("\\", "")


async def test_a_task_for_a_dead_chat_is_answered_in_the_others(
    sender: Sender, worker: TestWorker, other: WebhookDriver
) -> None:
    await link_account("demo-pro", "webhook", "ada")
    turn = await task_begun(worker)
    await worker.order(turn, "say", "61.8")
    await worker.order(turn, "finish")
    await worker.done(turn)

    await deliver(sender)

    [told] = other.shown("ada")
    assert told.replace("\\", "").startswith("⏰ **Task 1, daily 08:00 (UTC): RSI?**\n\n61.8\n\nℹ️ " + NOTE)


async def test_an_alert_for_another_account_of_the_same_channel_goes_to_the_one_that_is_linked(
    sender: Sender, bot_api: BotApi, other: WebhookDriver
) -> None:
    await link_account("demo-pro", "telegram", "8")

    await alert()
    await deliver(sender)

    [told] = bot_api.texts(8)
    assert NOTE in told
    assert bot_api.texts(7) == []


async def test_an_alert_for_a_dead_chat_of_a_user_without_another_stands_on_the_web_page(
    sender: Sender, bot_api: BotApi, other: WebhookDriver
) -> None:
    await link_account("demo-free", "webhook", "ada")

    await alert()
    await deliver(sender)

    assert (bot_api.calls, other.shown("ada")) == ([], [])
    assert await rows("SELECT state, error FROM deliveries") == [("failed", "The account is no longer linked.")]
    [(turn, alias)] = await rows(
        "SELECT t.id::text, c.alias FROM turns t JOIN conversations c ON c.id = t.conversation_id"
    )
    assert alias == "main"
    assert [frame["content"] for frame in await frames(turn)] == ["/alert BTC below 2", "**BTC fell**"]


async def test_an_alert_for_a_chat_that_is_linked_comes_there_alone(
    sender: Sender, bot_api: BotApi, other: WebhookDriver
) -> None:
    await link_account("demo-pro", "telegram", "7")
    await link_account("demo-pro", "webhook", "ada")

    await alert()
    await deliver(sender)

    assert (bot_api.texts(7), other.shown("ada")) == (["<b>BTC fell</b>"], [])


async def test_an_answer_that_was_asked_for_in_a_dead_chat_goes_nowhere_else(
    sender: Sender, worker: TestWorker, other: WebhookDriver, bot_api: BotApi
) -> None:
    """Its asker is known to nobody any more; what they asked stands on the web page."""
    await link_account("demo-pro", "webhook", "ada")
    accepted = await say("Hi", channel="telegram")
    await worker.claim()
    await worker.order(accepted.turn, "finish")
    await worker.done(accepted.turn)

    await deliver(sender)

    assert (bot_api.calls, other.shown("ada")) == ([], [])


async def test_a_task_that_asks_before_it_says_anything_is_told_of_once(
    sender: Sender, worker: TestWorker, other: WebhookDriver
) -> None:
    await link_account("demo-pro", "webhook", "ada")
    turn = await task_begun(worker)
    await worker.order(turn, "ask yes")
    await worker.done(turn)

    await deliver(sender)

    [asked] = other.shown("ada")
    assert "Deploy golden" in asked
    assert NOTE not in asked.replace("\\", "")
