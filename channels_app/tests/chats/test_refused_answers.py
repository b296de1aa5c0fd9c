"""An answer that its chat refuses, whole or in part, does not vanish without a word. Source: docs/channels.md."""

import json

import pytest

from agents.conversations import delete_conversation
from agents.tests.engine import TestWorker
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.refused import MISSING
from channels_app.deliveries.sweeping import sweep
from channels_app.models import DeliveryState
from channels_app.tests.chats.contract import Chat
from channels_app.tests.chats.sending import let_all_be_due, states
from channels_app.tests.chats.tables import rows

pytestmark = pytest.mark.django_db(transaction=True)

IN_ONE = pytest.mark.parametrize("driver", ["telegram"], indirect=True)


async def answered(chat: Chat, worker: TestWorker, text: str) -> None:
    """A message whose answer is about to be sent."""
    await chat.write("Tell me")
    await rows(f"UPDATE turns SET reply_to = '{json.dumps(chat.driver.target())}'")
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)
    await take_outbox()


async def test_an_answer_that_is_refused_is_told_of_once_in_every_channel(chat: Chat, worker: TestWorker) -> None:
    await answered(chat, worker, "The answer.")
    chat.driver.refuse()

    await chat.deliver()

    assert [text.replace("\\", "") for text in chat.driver.shown()] == [MISSING]
    assert await states() == ["failed", "sent"]


@IN_ONE
async def test_an_answer_of_which_two_parts_are_refused_is_told_of_once_below_the_rest(
    chat: Chat, worker: TestWorker
) -> None:
    await answered(chat, worker, "\n\n".join(f"{number} " + "word " * 700 for number in range(4)))
    chat.driver.refuse()
    chat.driver.refuse()

    await chat.deliver()

    parts = await rows("SELECT count(*) FROM deliveries WHERE turn_id IS NOT NULL")
    assert await states() == ["failed"] * 2 + ["sent"] * (parts[0][0] - 1)
    assert chat.driver.shown()[-1] == MISSING
    assert chat.driver.shown().count(MISSING) == 1


@IN_ONE
async def test_nothing_is_said_of_the_sentence_that_is_refused_as_well(chat: Chat, worker: TestWorker) -> None:
    await answered(chat, worker, "The answer.")
    chat.driver.refuse()
    chat.driver.refuse()

    await chat.deliver()

    assert await states() == ["failed", "failed"]
    assert chat.driver.shown() == []


@IN_ONE
async def test_a_chat_that_is_closed_is_told_nothing(chat: Chat, worker: TestWorker) -> None:
    await answered(chat, worker, "The answer.")
    chat.driver.close_chat()

    await chat.deliver()

    assert await states() == ["failed"]


@IN_ONE
async def test_what_is_given_up_after_a_day_is_told_of_once(chat: Chat, worker: TestWorker) -> None:
    await answered(chat, worker, "The answer.")
    await rows("UPDATE deliveries SET created_at = clock_timestamp() - interval '25 hours'")

    assert await sweep() == [("telegram", DeliveryState.FAILED)]
    assert await sweep() == []
    await chat.deliver()

    assert chat.driver.shown() == [MISSING]


@IN_ONE
@pytest.mark.parametrize("gone", ["link", "conversation"])
async def test_of_what_may_not_be_said_any_more_nothing_is_told(chat: Chat, worker: TestWorker, gone: str) -> None:
    await answered(chat, worker, "The answer.")
    await rows("UPDATE deliveries SET created_at = clock_timestamp() - interval '25 hours'")
    if gone == "link":
        await rows("DELETE FROM user_channel_links WHERE user_id = 'demo-pro'")
    else:
        [[conversation]] = await rows("SELECT conversation_id::text FROM turns")
        await delete_conversation("demo-pro", conversation)

    await sweep()
    await let_all_be_due()

    assert await states() == ["failed"]
