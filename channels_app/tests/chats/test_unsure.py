"""An answer that may not have arrived does not vanish without a word. Source: DESIGN.md section 5: never shown twice."""

import json

import pytest

from agents.tests.engine import TestWorker, say
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.unsure import UNSURE, own_up
from channels_app.tests.chats.bot_api import CUT, BotApi
from channels_app.tests.chats.contract import Chat
from channels_app.tests.chats.sending import let_all_be_due, states
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_dispatcher import running, settled

pytestmark = pytest.mark.django_db(transaction=True)


async def unsure(chat: Chat, worker: TestWorker, *, done: bool) -> bool:
    """An answer that was cut off; False where it can be sent again."""
    await chat.write("Tell me")
    await rows(f"UPDATE turns SET reply_to = '{json.dumps(chat.driver.target())}'")
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", "The answer.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    await take_outbox()
    chat.driver.cut(done=done)
    await let_all_be_due()
    await chat.sender.send_next()
    return await states() == ["ambiguous"]


@pytest.mark.parametrize("done", [False, True])
async def test_who_may_miss_an_answer_is_told_once(chat: Chat, worker: TestWorker, done: bool) -> None:
    is_unsure = await unsure(chat, worker, done=done)
    assert is_unsure is not bool(chat.driver.channel.repeats_s(chat.driver.target()))

    for _ in range(2):
        await own_up()
        await chat.deliver()

    assert chat.driver.shown() == (["The answer."] if done or not is_unsure else []) + [UNSURE] * is_unsure


async def test_what_was_unsure_long_ago_is_no_news(chat: Chat, worker: TestWorker) -> None:
    await unsure(chat, worker, done=False)
    await rows("UPDATE deliveries SET settled_at = settled_at - interval '61 min'")

    await own_up()

    assert await rows("SELECT count(*) FROM deliveries") == [(1,)]


async def test_a_worker_tells_it(users: dict[str, str], pool: None, worker: TestWorker, bot_api: BotApi) -> None:
    await link("demo-pro", 1)
    bot_api.script.append(CUT)
    async with running():
        accepted = await say("Hello", channel="telegram")
        await worker.claim()
        await worker.order(accepted.turn, "say", "Hello.")
        await worker.order(accepted.turn, "finish")
        await settled(2)

    assert bot_api.texts(1) == [UNSURE]
