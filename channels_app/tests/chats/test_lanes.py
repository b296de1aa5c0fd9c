"""The order within a chat, and what is kept of chats that rest. Source: DESIGN.md section 5: one after another within a chat."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from channels_app.channels import Inbound
from channels_app.channels.telegram import CHANNEL
from channels_app.deliveries.intake import take_outbox, text_letter
from channels_app.deliveries.rows import Letter, put
from channels_app.deliveries.sweeping import tidy
from channels_app.inbound import receive
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.sending import Sender, answer, deliver, new_sender, tell
from channels_app.tests.chats.tables import rows
from gateway.db import connection

PATIENCE_S = 10

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


def letter(text: str) -> Letter:
    return text_letter(CHANNEL, text, target={"chat": 7}, origin=text)


async def begun(step: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
    """The step, once it is done or waits for another transaction."""
    task = asyncio.ensure_future(step())
    async with asyncio.timeout(PATIENCE_S):
        while not task.done() and await rows("SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1") == []:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return task


async def a_day_passes() -> None:
    await rows("UPDATE chat_lanes SET not_before = not_before - interval '25 hours'")
    await rows("UPDATE unlinked_senders SET hinted_at = hinted_at - interval '25 hours'")


async def test_no_message_comes_between_two_of_one_transaction() -> None:
    await tell("before")
    async with connection() as conn, conn.transaction():
        await put(conn, [letter("one")])
        other = await begun(lambda: tell("other"))
        await put(conn, [letter("two")])
    await other

    texts = await rows("SELECT body->>'text' FROM deliveries ORDER BY id")
    assert texts == [("before",), ("one",), ("two",), ("other",)]


async def test_chats_and_strangers_of_which_nothing_is_heard_for_a_day_are_forgotten(sender: Sender) -> None:
    await rows("INSERT INTO unlinked_senders (channel, sender, hinted_at) VALUES ('telegram', '9', clock_timestamp())")
    await tell("sent")
    await sender.send_next()
    await tell("waits", chat=8)
    await a_day_passes()
    await rows("INSERT INTO unlinked_senders (channel, sender, hinted_at) VALUES ('telegram', '10', clock_timestamp())")
    await rows("INSERT INTO chat_lanes (key) VALUES ('telegram:10')")

    await tidy()

    assert await rows("SELECT key FROM chat_lanes ORDER BY key") == [("telegram:10",), ("telegram:8",)]
    assert await rows("SELECT sender FROM unlinked_senders") == [("10",)]
    assert await rows("SELECT state FROM deliveries ORDER BY id") == [("sent",), ("pending",)]


async def test_a_chat_that_was_forgotten_is_written_to_again(sender: Sender) -> None:
    await tell("sent")
    await sender.send_next()
    await a_day_passes()
    await tidy()

    await tell("again")
    await sender.send_next()

    assert await rows("SELECT state FROM deliveries") == [("sent",), ("sent",)]


async def test_a_chat_that_is_written_to_meanwhile_is_not_forgotten(sender: Sender) -> None:
    await tell("sent")
    await sender.send_next()
    await a_day_passes()
    async with connection() as conn, conn.transaction():
        await put(conn, [letter("new")])
        tidying = await begun(tidy)
    await tidying

    assert await sender.send_next() is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("linked")
async def test_what_stop_and_status_answer_waits_behind_no_part_of_a_long_answer(
    sender: Sender, bot_api: BotApi
) -> None:
    """Source: a /stop that was confirmed after eleven messages, a second each."""
    await answer("\n\n".join(f"{number} " + "long " * 700 for number in range(4)))
    await take_outbox()
    await sender.send_next()
    for number, command in enumerate(("/help", "/status", "/stop")):
        said = Inbound(external_id=f"x:{number}", sender="7", content=command, target={"chat": 7, "message": number})
        await receive(CHANNEL, said)
    await deliver(sender)

    first_words = [visible_text(text).split()[0] for text in bot_api.texts(7)]
    assert first_words[:1] + first_words[3:] == ["0", "1", "2", "3", "Ask"]
    assert (first_words[1], first_words[2]) == ("Workspace:", "Nothing")
