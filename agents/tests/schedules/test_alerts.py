"""Alerts, from what a person types to the message that leaves: real bars of a real workspace, a virtual clock.

Source: DESIGN sections 2, 5 and 10.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts.licences import Licence, LicenceChange, set_licence
from agents.mcp.pool import pool as connections
from agents.outbox import batch
from agents.schedules.alerts import check_due, look_at, settle
from agents.schedules.rows import Schedule, note_delivered, schedules_of
from agents.tests.engine import TestWorker, frames, row, say
from agents.tests.workflows import RealBrain
from agents.turns import IncomingMessage, accept_message
from gateway.db import connection
from gateway.ids import new_uuid

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def price_is(licence: Licence, *closes: float, symbol: str = "BTC") -> None:
    """The workspace's bars of a symbol: one a day, each with a small range around its close."""
    rows = "\n".join(
        f"2024-01-{day:02},{close},{close * 1.0001},{close * 0.9999},{close}"
        for day, close in enumerate(closes, start=1)
    )
    arguments = {"symbol": symbol, "csv": f"date,open,high,low,close\n{rows}"}
    outcome = await connections().session(licence).call_tool("import_bars", arguments)
    assert not outcome.failed, outcome.text


async def command(text: str, *, channel: str = "telegram") -> str:
    """What a command answers."""
    accepted = await say(text, channel=channel)
    return str((await row(accepted.turn, "answer"))[0])


async def look(now: datetime) -> int:
    """Look at all alerts that are due; how many there were."""
    holder, looked = new_uuid(), 0
    while await check_due(holder, now=now):
        looked += 1
    return looked


async def told() -> list[str]:
    """The alerts in the outbox, which are taken."""
    async with batch() as (_, rows):
        return [each.payload["content"] for each in rows if each.kind == "alert"]


async def mine_of(kind: str = "alert") -> Schedule:
    [found] = await schedules_of("demo-pro", kind=kind)  # type: ignore[arg-type]
    return found


async def look_after(licence: Licence, closes: Sequence[float], *, at: datetime) -> list[str]:
    await price_is(licence, *closes)
    await look(at)
    return await told()


async def test_a_price_that_crosses_is_told_once_in_the_channel_where_it_was_asked(mine: Licence) -> None:
    await price_is(mine, 51000, 50500)
    answer = await command("/alert BTC below 50000")
    assert "Alert 1: BTC below 50,000" in answer
    assert "It is at 50,500" in answer
    await told()

    assert await look_after(mine, (51000, 50500, 50400), at=NOW) == []
    [text] = await look_after(mine, (51000, 50500, 50400, 49000), at=NOW + timedelta(days=1))
    assert "BTC fell below 50,000" in text
    assert "49,000" in text
    assert await look_after(mine, (51000, 50500, 50400, 49000, 48000), at=NOW + timedelta(days=2)) == []

    [again] = await look_after(mine, (51000, 50500, 50400, 49000, 48000, 51000, 49500), at=NOW + timedelta(days=3))
    assert "BTC fell below 50,000" in again


async def test_an_alert_stands_in_the_conversation_and_goes_into_its_history(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="ETH")
    await command("/alert ETH below 50000", channel="web")
    await price_is(mine, 51000, 49000, symbol="ETH")
    await look(NOW)

    turn = str((await _fired())[0])
    found = await frames(turn)
    assert [frame["type"] for frame in found] == ["user_message", "done"]
    assert found[0]["content"] == "/alert ETH below 50,000"
    assert "ETH fell below" in found[1]["content"]
    assert found[1]["model"] is None
    worker = await TestWorker(RealBrain()).begin()
    while await worker.care():
        pass
    assert await row(turn, "history", "content", "answer") == (None, "", "")


async def _fired() -> tuple[Any, ...]:
    async with connection() as conn:
        found = await (await conn.execute("SELECT fired_turn, delivered_at, receipt FROM schedules")).fetchone()
    assert found is not None
    return tuple(found)


async def test_it_is_marked_delivered_only_with_the_platforms_receipt(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="SOL")
    await command("/alert SOL below 50000")
    await price_is(mine, 51000, 49000, symbol="SOL")
    await look(NOW)
    turn, delivered_at, receipt = await _fired()
    assert (delivered_at, receipt) == (None, "")

    async with connection() as conn:
        await note_delivered(conn, str(turn), receipt="4711")

    assert (await _fired())[2] == "4711"
    assert (await mine_of()).delivered_at is not None


async def test_a_price_that_is_beyond_already_is_said_and_waits_for_the_next_crossing(mine: Licence) -> None:
    await price_is(mine, 49000, symbol="ADA")
    assert "That is below it already" in await command("/alert ADA below 50000")
    await told()

    assert await look_after_of("ADA", mine, (49000, 48000), at=NOW) == []
    assert await look_after_of("ADA", mine, (49000, 48000, 51000), at=NOW + timedelta(days=1)) == []
    assert len(await look_after_of("ADA", mine, (49000, 48000, 51000, 49000), at=NOW + timedelta(days=2))) == 1


async def look_after_of(symbol: str, licence: Licence, closes: Sequence[float], *, at: datetime) -> list[str]:
    await price_is(licence, *closes, symbol=symbol)
    await look(at)
    return await told()


async def test_a_symbol_without_prices_is_set_all_the_same_and_said_once_when_it_lasts(mine: Licence) -> None:
    answer = await command("/alert NOSUCHTHING below 5")
    assert "I can't read its price yet" in answer
    await told()

    now, news = NOW, []
    for _ in range(8):
        await look(now)
        news += await told()
        now += timedelta(hours=7)

    assert len(news) == 1
    assert "I can't read the price of NOSUCHTHING" in news[0]
    await price_is(mine, 6, symbol="NOSUCHTHING")
    await look(now)
    assert (await mine_of()).reason == ""


async def test_a_price_beyond_all_prices_is_none(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="LUNA")
    await command("/alert LUNA above 60000")
    await told()

    assert await look_after_of("LUNA", mine, (51000, 1e18), at=NOW) == []

    alert = await mine_of()
    assert (alert.last_price, alert.failures) == (Decimal(51000), 1)
    assert alert.reason == "The workspace's answer is not a list of bars."
    assert "I can't read its price yet" in await command("/alert LUNA above 70000")


async def test_an_alert_whose_news_the_database_refuses_rests_and_says_why(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="ETC")
    await command("/alert ETC below 50000")
    await told()
    async with connection() as conn:
        await conn.execute("ALTER TABLE schedules ADD CONSTRAINT no_crash CHECK (last_price > 50000)")
    try:
        assert await look_after_of("ETC", mine, (51000, 49000), at=NOW) == []
    finally:
        async with connection() as conn:
            await conn.execute("ALTER TABLE schedules DROP CONSTRAINT no_crash")

    alert = await mine_of()
    assert (alert.reason, alert.failures) == ("Something went wrong on our side.", 1)
    assert alert.due_at == NOW + timedelta(hours=6)
    assert len(await look_after_of("ETC", mine, (51000, 49000), at=NOW + timedelta(hours=6))) == 1


async def test_the_list_and_deletion_by_number(mine: Licence) -> None:
    await price_is(mine, 51000)
    await command("/alert BTC below 50000")
    await command("/alert BTC above 60000 via web")
    listed = await command("/alert")
    assert "- **1** · BTC below 50,000 (told in Telegram)" in listed
    assert "- **2** · BTC above 60,000 (told on the web page)" in listed

    assert await command("/alert delete 1") == "Deleted: BTC below 50,000"
    assert await command("/alert delete 1") == "There is no alert 1. /alert gives the list."
    assert (await mine_of()).number == 2


async def test_a_channel_that_the_user_never_wrote_from_is_refused(mine: Licence) -> None:
    assert "I don't know where to reach you in 'slack'" in await command("/alert BTC below 50000 via slack")


async def test_a_channel_that_the_licence_does_not_include_is_refused(mine: Licence) -> None:
    """As `PATCH /api/v1/schedules/{id}` refuses it."""
    await price_is(mine, 51000)
    await command("/help", channel="telegram")
    await command("/alert BTC below 50000", channel="web")
    await command("/schedule daily 08:00 portfolio review", channel="web")
    await sync_to_async(set_licence)("demo-pro", LicenceChange(features={"channels": ["web"]}))

    for text in (
        "/alert 1 via telegram", "/schedule 2 via telegram", "/alert BTC above 60000 via telegram",
        "/schedule daily 08:00 portfolio review via telegram",
    ):  # fmt: skip
        assert "does not include Telegram as a channel" in await command(text, channel="web")

    assert [each.channel for each in await schedules_of("demo-pro")] == ["web", "web"]


async def test_it_is_told_in_the_channel_that_the_user_chose(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="XRP")
    await command("/help", channel="telegram")
    await command("/alert XRP below 50000 via telegram", channel="web")
    await price_is(mine, 51000, 49000, symbol="XRP")
    await told()
    await look(NOW)

    async with batch() as (_, rows):
        assert [(each.channel, each.reply_to) for each in rows] == [("telegram", {"chat": "1"})]


async def test_an_alert_is_told_elsewhere_once_the_user_says_so(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="XRP")
    await command("/help", channel="telegram")
    await command("/alert XRP below 50000", channel="web")
    assert "where to reach you in 'slack'" in await command("/alert 1 via slack")
    assert await command("/alert 2 via telegram") == "There is no alert 2. /alert gives the list."
    assert await command("/schedule 1 via telegram") == "There is no task 1. /schedule gives the list."

    assert await command("/alert 1 via telegram", channel="web") == "XRP below 50,000: told in Telegram from now on."
    await price_is(mine, 51000, 49000, symbol="XRP")
    await told()
    await look(NOW)

    async with batch() as (_, rows):
        assert [(each.channel, each.reply_to) for each in rows] == [("telegram", {"chat": "1"})]


async def test_nothing_is_told_by_itself_where_others_read_along(mine: Licence) -> None:
    await price_is(mine, 51000)
    group = {"chat": -5, "user": 7, "shared": True}
    await accept_message(
        IncomingMessage(user_id="demo-pro", channel="telegram", external_id="g", content="/help", reply_to=group)
    )
    assert "I don't know where to reach you" in await command("/alert BTC below 50000 via telegram", channel="web")
    await command("/help", channel="telegram")
    await command("/alert BTC below 50000 via telegram", channel="web")

    async with connection() as conn:
        found = await (await conn.execute("SELECT reply_to FROM schedules")).fetchall()
    assert found == [({"chat": "1"},)]


async def test_an_expired_licence_pauses_an_alert_and_says_so_once(mine: Licence) -> None:
    await price_is(mine, 51000)
    await command("/alert BTC below 50000")
    await told()
    await sync_to_async(set_licence)("demo-pro", LicenceChange(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))

    for hours in (0, 2, 4):
        await look(NOW + timedelta(hours=hours))

    assert (await mine_of()).state == "paused"
    news = await told()
    assert len(news) == 1
    assert " is paused: Your Dexorder licence has expired" in news[0]
    await sync_to_async(set_licence)("demo-pro", LicenceChange(never_expires=True))
    await look(NOW + timedelta(hours=6))
    assert (await mine_of()).state == "active"


async def test_an_alert_whose_worker_died_is_looked_at_by_another(mine: Licence) -> None:
    await price_is(mine, 51000)
    await command("/alert BTC below 50000")
    dead = new_uuid()
    async with connection() as conn:
        await conn.execute("UPDATE schedules SET holder = %s, fence = fence + 1", (dead,))

    assert await look(NOW) == 1


async def test_a_look_that_was_overtaken_changes_nothing(mine: Licence) -> None:
    await price_is(mine, 51000, symbol="DOT")
    await command("/alert DOT below 50000")
    stale = await mine_of()
    async with connection() as conn:
        await conn.execute("UPDATE schedules SET fence = fence + 1")
    await price_is(mine, 51000, 49000, symbol="DOT")
    await told()

    await settle(stale, await look_at(stale), now=NOW)

    assert await told() == []
    assert (await mine_of()).seen == stale.seen


async def test_a_task_is_set_in_the_time_zone_of_the_preferences(mine: Licence) -> None:
    await connections().session(mine).call_tool("set_preferences", {"values": {"time_zone": "Asia/Tokyo"}})
    answer = await command("/schedule daily 08:00 portfolio review")

    assert "Task 1: daily 08:00 (Asia/Tokyo): portfolio review" in answer
    assert "08:00 (Asia/Tokyo)" in answer
    assert (await mine_of("task")).due_at.hour == 23
    assert "- **1** · daily 08:00 (Asia/Tokyo): portfolio review" in await command("/schedule list")
    assert (await command("/schedule delete 1")).startswith("Deleted: daily 08:00")
