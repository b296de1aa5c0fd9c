"""What leaves for the chats. Source: DESIGN.md section 5: deliveries (intent, attempts, receipt); PLATFORMS, Telegram."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from agents.tests.engine import TestWorker, say
from channels_app import deliveries
from channels_app.channels.telegram import CHANNEL
from channels_app.deliveries.dispatcher import attempt, backoff_s
from channels_app.deliveries.intake import take_outbox, text_letter
from channels_app.deliveries.rows import Claim, Outcome, begin_sending, claim_next, put, settle, sweep
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BAD_MARKUP, BLOCKED, CUT, HELD, TOKEN, BotApi, Reply, flood, refusal
from channels_app.tests.chats.conftest import rows
from gateway.db import connection
from gateway.ids import new_id, new_uuid
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

PATIENCE_S = 10

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


async def tell(text: str, *, chat: int = 7, origin: str = "") -> None:
    """Write the intent to say something in a chat."""
    letter = text_letter(CHANNEL, text, target={"chat": chat, "message": 1}, origin=origin or new_id())
    async with connection() as conn, conn.transaction():
        await put(conn, [letter])


async def answer(content: str, *, kind: str = "done", chat: int = 7, **payload: Any) -> None:
    """What the agent commits when a turn has ended."""
    row = OutboxRow(
        new_id(), None, "demo-pro", "telegram", {"chat": chat, "message": 1}, kind, {"content": content} | payload
    )
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, row)


async def states() -> list[str]:
    return [row[0] for row in await rows("SELECT state FROM deliveries ORDER BY id")]


async def let_all_be_due() -> None:
    """Time passes."""
    await rows("UPDATE deliveries SET run_after = clock_timestamp()")
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp()")


@dataclass
class Sender:
    """A worker process as the database sees it, whose every step the test does."""

    id: UUID

    async def claim(self) -> Claim | None:
        return await claim_next(self.id)

    async def send_next(self) -> Outcome | None:
        claim = await self.claim()
        if claim is None:
            return None
        assert await begin_sending(claim, holder=self.id)
        outcome = await attempt(claim)
        assert await settle(claim, outcome)
        return outcome

    async def die(self) -> None:
        await rows(f"UPDATE worker_leases SET expires_at = '2000-01-01' WHERE id = '{self.id}'")


async def new_sender() -> Sender:
    lease = new_uuid()
    await rows(
        f"INSERT INTO worker_leases (id, name, expires_at) VALUES ('{lease}', 'test', clock_timestamp() + interval '1 h')"
    )
    return Sender(lease)


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


async def test_an_answer_becomes_one_message_with_a_receipt_and_its_text_is_erased(
    sender: Sender, bot_api: BotApi
) -> None:
    await answer("The **RSI** is 61.2.")

    assert await take_outbox() == 1
    await sender.send_next()

    assert bot_api.texts(7) == ["The <b>RSI</b> is 61.2."]
    [(state, attempts, receipt, body, digest, user)] = await rows(
        "SELECT state, attempts, receipt, body, digest, user_id FROM deliveries"
    )
    assert (state, attempts, receipt, body, user) == ("sent", 1, "1001", None, "demo-pro")
    assert len(digest) == 64
    assert await rows("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        (
            "failed",
            {"content": "", "code": "x", "message": "The model can't be reached."},
            "The model can't be reached.",
        ),
        ("cancelled", {"content": ""}, "Stopped."),
        ("cancelled", {"content": "Half of"}, "Half of\n\n*Stopped.*"),
        ("done", {"content": " "}, "There is no answer to show."),
    ],
)
async def test_every_end_of_a_turn_is_told(kind: str, payload: dict[str, Any], said: str) -> None:
    await answer(kind=kind, **payload)

    await take_outbox()

    assert await rows("SELECT kind, body->>'text' FROM deliveries") == [(kind, said)]


async def test_a_long_answer_is_sent_in_order_and_its_first_message_quotes(sender: Sender, bot_api: BotApi) -> None:
    paragraphs = [f"{number}: " + "words " * 500 for number in range(4)]
    await answer("\n\n".join(paragraphs))
    await take_outbox()

    while await sender.send_next():
        await let_all_be_due()

    assert len(bot_api.texts(7)) == 4
    assert [text[0] for text in bot_api.texts(7)] == ["0", "1", "2", "3"]
    assert ["reply_parameters" in call.parameters for call in bot_api.calls] == [True, False, False, False]


async def test_a_row_that_cant_become_a_message_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, OutboxRow(new_id(), None, "demo-pro", "pigeon", {}, "done", {"content": "lost"}))
        await put_outbox(conn, OutboxRow(new_id(), None, "demo-pro", "telegram", {}, "done", {"content": "lost"}))
    await answer("kept")

    await take_outbox()

    assert await rows("SELECT body->>'text' FROM deliveries") == [("kept",)]
    assert caplog.text.count("outbox_row_unusable") == 2


async def test_what_has_the_same_origin_is_told_once() -> None:
    await tell("first", origin="telegram:1:1")
    await tell("second", origin="telegram:1:1")

    assert await rows("SELECT body->>'text' FROM deliveries") == [("first",)]


async def test_a_chat_rests_between_messages_and_another_does_not(sender: Sender, bot_api: BotApi) -> None:
    """Source: Bot API FAQ: no more than one message a second in one chat."""
    await tell("one")
    await tell("two")
    await tell("elsewhere", chat=8)

    await sender.send_next()
    await sender.send_next()

    assert await sender.send_next() is None
    assert [text for _, text in bot_api.shown] == ["one", "elsewhere"]
    await let_all_be_due()
    await sender.send_next()
    assert bot_api.texts(7) == ["one", "two"]


async def test_a_wait_of_telegrams_holds_for_the_whole_chat_and_every_worker(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(flood(40))
    await tell("first")
    await sender.send_next()
    await tell("said meanwhile")
    await tell("elsewhere", chat=8)

    other = await new_sender()
    await other.send_next()

    assert bot_api.shown == [(8, "elsewhere")]
    assert await other.claim() is None
    [(wait,)] = await rows(
        "SELECT extract(epoch FROM not_before - clock_timestamp()) FROM chat_lanes WHERE key = 'telegram:7'"
    )
    assert 38 < wait <= 40

    await let_all_be_due()
    await other.send_next()
    assert bot_api.texts(7) == ["first"]


async def test_a_later_pause_never_shortens_an_earlier_one(sender: Sender) -> None:
    await tell("text")
    claim = await sender.claim()
    assert claim is not None
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp() + interval '60 s'")

    await settle(claim, Outcome(DeliveryState.SENT, pause_s=1))

    assert await rows("SELECT not_before > clock_timestamp() + interval '50 s' FROM chat_lanes") == [(True,)]


async def test_a_failure_of_telegrams_is_tried_again_later_and_holds_back_its_own_chat_only(
    sender: Sender, bot_api: BotApi
) -> None:
    bot_api.script.append(refusal(500, "Internal Server Error"))
    await tell("first")
    await tell("second")
    await tell("elsewhere", chat=8)

    await sender.send_next()
    await sender.send_next()

    assert await sender.claim() is None
    assert await states() == ["pending", "pending", "sent"]
    for _ in range(2):
        await let_all_be_due()
        await sender.send_next()
    assert bot_api.texts(7) == ["first", "second"]
    assert await rows("SELECT attempts FROM deliveries ORDER BY id") == [(2,), (1,), (1,)]


def test_the_waits_grow_up_to_five_minutes() -> None:
    waits = [backoff_s(attempts) for attempts in range(1, 12)]

    assert 2 <= waits[0] <= 2.2
    assert waits[:8] == sorted(waits[:8])
    assert all(wait <= 330 for wait in waits)


async def test_a_blocked_bot_is_a_dead_letter_and_what_follows_is_tried(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(refusal(403, BLOCKED))
    await tell("first")
    await tell("second")

    await sender.send_next()
    await sender.send_next()

    assert await states() == ["failed", "sent"]
    [(error, body)] = await rows("SELECT error, body FROM deliveries ORDER BY id LIMIT 1")
    assert ("blocked" in error, body) == (True, None)


async def test_html_that_cant_be_read_is_sent_plain_in_the_same_attempt(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, BAD_MARKUP))
    await tell("**bold**")

    await sender.send_next()

    assert bot_api.texts(7) == ["**bold**"]
    assert await rows("SELECT state, attempts FROM deliveries") == [("sent", 1)]


@pytest.mark.parametrize("reply", [CUT, Reply(504, b"")], ids=["cut", "gateway timeout"])
async def test_what_may_have_been_shown_is_marked_and_never_sent_again(
    sender: Sender, bot_api: BotApi, reply: Reply
) -> None:
    bot_api.script.append(reply)
    await tell("once at the most")
    await tell("next")

    await sender.send_next()
    await let_all_be_due()
    await sender.send_next()

    assert await states() == ["ambiguous", "sent"]
    assert len(bot_api.calls) == 2


async def test_what_could_not_be_sent_for_want_of_a_connection_is_tried_again(sender: Sender, settings: Any) -> None:
    settings.TELEGRAM_API_BASE_URL = "http://127.0.0.1:1"
    await tell("text")

    await sender.send_next()

    assert await states() == ["pending"]


async def test_a_channel_that_is_switched_off_keeps_its_messages_for_later(sender: Sender, settings: Any) -> None:
    await tell("text")
    settings.TELEGRAM_BOT_TOKEN = settings.TELEGRAM_WEBHOOK_SECRET = ""

    await sender.send_next()

    assert await rows("SELECT state, error FROM deliveries") == [("pending", "The channel is off.")]


async def test_a_worker_killed_while_it_sent_leaves_an_ambiguous_row(sender: Sender, bot_api: BotApi) -> None:
    await tell("may have arrived")
    await tell("next")
    claim = await sender.claim()
    assert claim is not None
    assert await begin_sending(claim, holder=sender.id)
    other = await new_sender()
    assert await other.claim() is None

    await sender.die()

    assert await sweep() == [("telegram", DeliveryState.AMBIGUOUS)]
    await other.send_next()
    assert await states() == ["ambiguous", "sent"]
    assert bot_api.texts(7) == ["next"]


async def test_a_worker_killed_before_it_sent_is_replaced_and_can_send_no_more(sender: Sender, bot_api: BotApi) -> None:
    await tell("text")
    claim = await sender.claim()
    assert claim is not None
    await sender.die()

    assert not await begin_sending(claim, holder=sender.id)
    assert await sweep() == []
    other = await new_sender()
    await other.send_next()

    assert not await settle(claim, Outcome(DeliveryState.AMBIGUOUS))
    assert await states() == ["sent"]
    assert bot_api.texts(7) == ["text"]


async def test_after_a_day_a_message_is_a_dead_letter(sender: Sender, bot_api: BotApi) -> None:
    await tell("yesterday's")
    await tell("today's")
    await rows(
        "UPDATE deliveries SET created_at = clock_timestamp() - interval '25 hours' WHERE body->>'text' LIKE 'y%'"
    )

    assert await sweep() == [("telegram", DeliveryState.FAILED)]
    await sender.send_next()

    assert bot_api.texts(7) == ["today's"]
    assert await states() == ["failed", "sent"]


async def test_the_token_is_in_no_log_and_in_no_row(
    sender: Sender, bot_api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    bot_api.script.extend(
        [CUT, Reply(502, f"<html>/bot{TOKEN}/".encode()), refusal(400, f"Bad Request: {TOKEN}"), flood(1)]
    )
    with caplog.at_level(logging.INFO):
        for text in "abcd":
            await tell(text)
            await let_all_be_due()
            await sender.send_next()

    assert TOKEN not in caplog.text
    assert await rows(f"SELECT count(*) FROM deliveries d WHERE d::text LIKE '%{TOKEN}%'") == [(0,)]


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
