"""What must not be said any more. Source: DESIGN.md: an account speaks for its user as long as it is linked; erasure."""

import pytest

from agents.conversations import delete_conversation
from agents.tests.engine import TestWorker, say
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.sweeping import sweep
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.sending import Sender, answer, new_sender, tell
from channels_app.tests.chats.tables import link, rows

UNLINKED = [("failed", "The account is no longer linked.", None)]
FATE = "SELECT state, error, body FROM deliveries"

pytestmark = pytest.mark.usefixtures("pool", "bot_api", "linked")


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


async def let_chats_rest() -> None:
    """Nothing may be sent for an hour."""
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp() + interval '1 hour'")


async def test_an_account_that_is_unlinked_is_told_nothing_more(sender: Sender, bot_api: BotApi) -> None:
    await answer("private")
    await take_outbox()
    await rows("DELETE FROM user_channel_links")

    await sender.send_next()

    assert bot_api.calls == []
    assert await rows(FATE) == UNLINKED


async def test_an_account_that_is_anothers_by_now_is_told_nothing(sender: Sender, bot_api: BotApi) -> None:
    await link("demo-pro", 8)
    await answer("private")
    await take_outbox()
    await rows("UPDATE user_channel_links SET user_id = 'demo-free' WHERE channel_user_id = '7'")

    await sender.send_next()

    assert bot_api.calls == []
    assert await rows(FATE) == UNLINKED


async def test_what_waits_for_an_unlinked_account_is_erased_before_it_is_due() -> None:
    await answer("private")
    await take_outbox()
    await let_chats_rest()
    assert await sweep() == []
    await rows("DELETE FROM user_channel_links")

    assert await sweep() == [("telegram", DeliveryState.FAILED)]
    assert await rows(FATE) == UNLINKED


async def test_words_to_an_account_that_is_linked_to_nobody_are_sent(sender: Sender, bot_api: BotApi) -> None:
    await tell("This account is linked to no user.", chat=9)

    await sender.send_next()

    assert await sweep() == []
    assert len(bot_api.texts(9)) == 1


@pytest.mark.parametrize("swept", [True, False])
async def test_the_answer_of_a_deleted_conversation_is_erased_and_not_sent(
    sender: Sender, worker: TestWorker, bot_api: BotApi, swept: bool
) -> None:
    await link("demo-pro", 1)
    accepted = await say("Hello", channel="telegram")
    await worker.claim()
    await worker.order(accepted.turn, "say", "private")
    await worker.order(accepted.turn, "finish")
    await worker.done(accepted.turn)
    await take_outbox()
    [(conversation,)] = await rows("SELECT conversation_id::text FROM turns")
    await delete_conversation("demo-pro", conversation)

    await (sweep() if swept else sender.send_next())

    assert bot_api.calls == []
    assert await rows(FATE) == [("failed", "The conversation was deleted.", None)]
