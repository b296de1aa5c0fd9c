"""What becomes of a message that does not arrive. Source: PLATFORMS, Telegram: what its errors mean; sent once or never."""

import logging
from typing import Any

import pytest

from channels_app.deliveries.attempts import backoff_s
from channels_app.deliveries.rows import begin_sending
from channels_app.deliveries.settling import Outcome, settle
from channels_app.deliveries.sweeping import sweep
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BAD_MARKUP, BLOCKED, CUT, TOKEN, BotApi, Reply, flood, refusal
from channels_app.tests.chats.sending import Sender, let_all_be_due, new_sender, states, tell
from channels_app.tests.chats.tables import rows

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


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


async def test_a_blocked_bot_fails_what_waits_for_the_chat_and_tries_what_comes_later(
    sender: Sender, bot_api: BotApi
) -> None:
    """Source: PLATFORMS, Telegram: 403 is permanent, until the person writes again."""
    bot_api.script.append(refusal(403, BLOCKED))
    await tell("first")
    await tell("second")
    await tell("elsewhere", chat=8)

    await sender.send_next()
    await sender.send_next()

    assert await states() == ["failed", "failed", "sent"]
    blocked = await rows("SELECT error LIKE '%blocked%', body FROM deliveries WHERE lane_id = 'telegram:7'")
    assert blocked == [(True, None), (True, None)]
    await tell("third")
    await sender.send_next()
    assert bot_api.texts(7) == ["third"]


async def test_a_message_that_is_refused_fails_alone(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, "Bad Request: message is too long"))
    await tell("first")
    await tell("second")

    await sender.send_next()
    await sender.send_next()

    assert await states() == ["failed", "sent"]


async def test_html_that_cant_be_read_is_sent_plain_in_the_same_attempt(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, BAD_MARKUP))
    await tell("**bold**")

    await sender.send_next()

    assert bot_api.texts(7) == ["bold"]
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


async def test_an_absurd_wait_is_no_longer_than_a_message_lives(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(flood(10**13))
    await tell("text")

    await sender.send_next()

    assert await states() == ["pending"]
    [(hours,)] = await rows("SELECT extract(epoch FROM not_before - clock_timestamp()) / 3600 FROM chat_lanes")
    assert 23 < hours <= 24


async def test_words_that_no_column_can_hold_are_cleaned(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, "Bad Request: a\x00b\ud800c"))
    await tell("text")

    await sender.send_next()

    assert await rows("SELECT state, error FROM deliveries") == [("failed", "refused: A b c")]


async def test_a_send_that_is_begun_twice_is_begun_once(sender: Sender) -> None:
    """The answer to a commit may be lost while the commit is not."""
    await tell("text")
    claim = await sender.claim()
    assert claim is not None

    assert await begin_sending(claim, holder=sender.id)
    assert await begin_sending(claim, holder=sender.id)
    assert await settle(claim, Outcome(DeliveryState.SENT))
    assert not await begin_sending(claim, holder=sender.id)
