"""A question of the agent is answered by what its user writes next, or by a reply to it. Source: docs/protocol.md, Waiting."""

import asyncio
from typing import Any

import pytest

from agents.tests.engine import TestWorker, say, something_waits
from agents.waits import code_of
from channels_app.channels import Inbound
from channels_app.channels._discord.interactions import parse_message
from channels_app.channels.telegram import CHANNEL
from channels_app.inbound import receive
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.sending import deliver, new_sender, take_files
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.chats.test_telegram_groups import in_group
from channels_app.tests.doubles import slack
from channels_app.tests.doubles.driver import Driver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("linked", "pool")]
# The number of the first message that the bot sends.
FIRST = 1001


async def asks(worker: TestWorker, order: str = "ask words", *, channel: str = "telegram") -> str:
    """A turn of the main conversation waits for what it has asked in chat 7; the question's id."""
    turn = (await say("Analyse it", channel=channel, when_busy="queue")).turn
    await rows(
        f"UPDATE turns SET reply_to = '{{\"chat\": 7, \"message\": 1}}' WHERE id = '{turn}' AND channel = 'telegram'"
    )
    assert await worker.claim() == turn
    await worker.order(turn, order)
    await worker.done(turn)
    await deliver(await new_sender())
    return str((await rows(f"SELECT wait_id::text FROM turns WHERE id = '{turn}'"))[0][0])


async def write(text: str, *, number: int = 10, chat: int = 7, **message: Any) -> str:
    chats = {"chat": {"id": chat, "type": "private"}, "from": {"id": chat, "is_bot": False}}
    found = CHANNEL.parse(update(text=text, **(chats | message)) | {"update_id": number})
    assert isinstance(found, Inbound)
    return await receive(CHANNEL, found)


async def send_file(bot_api: BotApi, more: dict[str, Any] | None = None) -> str:
    """A document with words below it."""
    bot_api.files["F"] = b"hello"
    document = {"file_id": "F", "file_unique_id": "u", "file_name": "period.txt", "file_size": 5}
    message = update(caption="Read this", document=document, **(more or {}))["message"]
    del message["text"]
    found = CHANNEL.parse({"update_id": 5, "message": message})
    assert isinstance(found, Inbound)
    return await receive(CHANNEL, found)


def replying_to(message: int) -> dict[str, Any]:
    return {"reply_to_message": {"message_id": message, "from": {"id": 123456, "is_bot": True}}}


async def answers() -> list[tuple[str, Any]]:
    """State and values of each question, in the order in which they were asked."""
    return [(state, values) for state, values in await rows("SELECT state, values FROM questions ORDER BY id")]


async def said(bot_api: BotApi) -> str:
    """What is said last in chat 7."""
    await deliver(await new_sender())
    return visible_text(bot_api.texts(7)[-1])


async def open_turns() -> list[str]:
    return [row[0] for row in await rows("SELECT content FROM turns WHERE state = 'queued' ORDER BY id")]


@pytest.mark.parametrize("channel", ["telegram", "web"])
async def test_what_is_written_next_answers_the_one_question_that_waits(
    bot_api: BotApi, worker: TestWorker, channel: str
) -> None:
    await asks(worker, channel=channel)
    assert "write your answer here, reply to this message, or type /answer" in visible_text(bot_api.texts(7)[-1])

    assert await write("SPX since 2015") == "accepted"

    assert await answers() == [("answered", {"period": "SPX since 2015"})]
    assert await open_turns() == ["Analyse it"], "the turn that asked goes on, and there is no other"
    assert await said(bot_api) == "Taken as the answer to: Which period?\n\nIt goes on."
    assert "✅ Answered in Telegram." in bot_api.edited[FIRST]


async def test_a_message_that_is_sent_again_answers_nothing_more(bot_api: BotApi, worker: TestWorker) -> None:
    await asks(worker)

    assert [await write("SPX since 2015"), await write("SPX since 2015")] == ["accepted", "duplicate"]
    resumed = await worker.claim()
    assert resumed is not None
    await worker.order(resumed, "finish")
    await worker.done(resumed)
    await asks(worker)
    assert await write("SPX since 2015") == "duplicate"

    assert [state for state, _ in await answers()] == ["answered", "pending"]


async def test_of_two_messages_at_once_one_answers_and_the_other_is_a_turn(bot_api: BotApi, worker: TestWorker) -> None:
    await asks(worker)

    await asyncio.gather(write("SPX since 2015", number=11), write("And NDX", number=12))

    [(state, values)] = await answers()
    [(other,)] = await rows("SELECT content FROM turns WHERE state = 'queued' AND content <> 'Analyse it'")
    assert state == "answered"
    assert {values["period"], other} == {"SPX since 2015", "And NDX"}


async def test_an_answer_that_does_not_fit_is_told_with_what_to_do(bot_api: BotApi, worker: TestWorker) -> None:
    question = await asks(worker)

    await write("?")

    assert await answers() == [("pending", None)]
    told = await said(bot_api)
    assert told.startswith("That does not answer the question. period: ")
    assert f"Which period? still waits: write another answer, or type /answer {code_of(question)} alone" in told
    await write("SPX since 2015", number=11)
    assert await answers() == [("answered", {"period": "SPX since 2015"})]


async def test_where_several_questions_wait_a_hint_names_them(bot_api: BotApi, worker: TestWorker) -> None:
    questions = [await asks(worker), await asks(worker)]

    await write("SPX since 2015")

    assert await answers() == [("pending", None)] * 2
    told = await said(bot_api)
    assert told.startswith("2 questions wait")
    assert all(f"Which period?: /answer {code_of(question)} and your answer" in told for question in questions)
    assert await open_turns() == []


async def test_a_reply_answers_the_question_that_it_quotes(bot_api: BotApi, worker: TestWorker) -> None:
    """Also one of many that wait, and one that has buttons."""
    for order in ("ask words", "ask words", "ask what"):
        await asks(worker, order)

    await write("since 2015", number=11, **replying_to(FIRST + 1))
    await write("Blue", number=12, **replying_to(FIRST + 2))

    assert await answers() == [
        ("pending", None),
        ("answered", {"period": "since 2015"}),
        ("answered", {"colour": "blue"}),
    ]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("/status", {}),
        ("/analyse sma_crossover on SPX", {}),
        ("What was that?", replying_to(FIRST + 50)),
        ("What was that?", replying_to(FIRST) | {"chat": 8}),
    ],
    ids=["command", "workflow", "reply to another message", "another user"],
)
async def test_what_is_no_answer_leaves_the_question(
    bot_api: BotApi, worker: TestWorker, text: str, more: dict[str, Any]
) -> None:
    await link("demo-enterprise", 8)
    await asks(worker)

    assert await write(text, **more) == "accepted"

    assert await answers() == [("pending", None)]


async def test_what_is_said_in_a_group_is_no_answer(bot_api: BotApi, worker: TestWorker) -> None:
    """Also of a question that was asked there: all of a group would read what it was; a message there may have any number."""
    await asks(worker)
    for number, text in enumerate(("Hello", "SPX since 2015")):
        found = CHANNEL.parse(in_group(text, **replying_to(FIRST)) | {"update_id": 30 + number})
        assert isinstance(found, Inbound)
        assert await receive(CHANNEL, found) == "accepted"
        await rows(
            "UPDATE turns SET conversation_id = (SELECT conversation_id FROM chat_threads) WHERE wait_id IS NOT NULL"
        )

    assert await answers() == [("pending", None)]
    assert await write("SPX since 2015", **replying_to(FIRST)) == "accepted", "in private"
    assert [state for state, _ in await answers()] == ["answered"]


async def test_a_question_of_another_conversation_is_answered_by_a_reply_alone(
    bot_api: BotApi, worker: TestWorker
) -> None:
    await something_waits("demo-pro", "ask words")
    await deliver(await new_sender())
    assert "UTC: reply to this message, or type /answer" in visible_text(bot_api.texts(7)[-1])

    await write("What is RSI?", number=11)
    assert await answers() == [("pending", None)]
    await write("SPX since 2015", number=12, **replying_to(FIRST))

    assert await answers() == [("answered", {"period": "SPX since 2015"})]


async def test_a_message_with_a_file_is_no_answer(bot_api: BotApi, worker: TestWorker) -> None:
    await asks(worker)

    assert await send_file(bot_api, replying_to(FIRST)) == "accepted"
    assert await take_files((await new_sender()).id) == 1

    assert await answers() == [("pending", None)]
    assert await open_turns() == ["Read this"]


@pytest.mark.parametrize(
    "changed",
    [
        "UPDATE questions SET created_at = created_at - interval '61 minutes'",
        "UPDATE questions SET expires_at = clock_timestamp()",
        "UPDATE deliveries SET state = 'pending'",
        "UPDATE conversations SET alias = ''",
    ],
    ids=["asked long ago", "its time is over", "not shown yet", "another conversation"],
)
async def test_a_question_that_nobody_has_in_mind_is_not_answered_by_what_comes_next(
    bot_api: BotApi, worker: TestWorker, changed: str
) -> None:
    await asks(worker)
    await rows(changed)

    await write("SPX since 2015")

    assert await answers() == [("pending", None)]
    assert await open_turns() == ["SPX since 2015"]


async def test_a_reply_that_comes_too_late_is_told_so(bot_api: BotApi, worker: TestWorker) -> None:
    await asks(worker)
    await rows("UPDATE questions SET expires_at = clock_timestamp()")

    await write("SPX since 2015", **replying_to(FIRST))

    assert await answers() == [("pending", None)]
    assert (await said(bot_api)).startswith("The time for this is over.")


async def test_a_question_with_choices_is_answered_by_what_comes_next_only_if_that_replies(
    bot_api: BotApi, worker: TestWorker
) -> None:
    await asks(worker, "ask what")

    await write("red")

    assert await answers() == [("pending", None)]


async def test_a_reply_to_a_form_of_several_values_is_told_how_to_fill_it_in(
    bot_api: BotApi, worker: TestWorker
) -> None:
    question = await asks(worker)
    await rows(
        """UPDATE questions SET schema = '{"type": "object", "properties": {"size": {"type": "number"}, "note": {}}}'"""
    )

    await write("whatever", **replying_to(FIRST))

    assert await answers() == [("pending", None)]
    assert f"/answer {code_of(question)}\nsize: …\nnote: …" in await said(bot_api)


@pytest.mark.parametrize("more", [{}, replying_to(FIRST)], ids=["plain", "reply"])
async def test_no_plain_words_decide_an_approval(bot_api: BotApi, worker: TestWorker, more: dict[str, Any]) -> None:
    """Source: docs/protocol.md: a yes is a button, a card or a command."""
    await asks(worker, "ask yes")

    for number, text in enumerate(("yes", "approve", "Approve")):
        await write(text, number=20 + number, **more)

    assert await rows("SELECT state FROM approvals") == [("pending",)]


async def test_words_on_the_page_are_a_message(bot_api: BotApi, worker: TestWorker) -> None:
    """The page has a card for the question."""
    await asks(worker)

    await say("SPX since 2015", when_busy="queue")

    assert await answers() == [("pending", None)]


async def replied_in_direct_messages(driver: Driver, receipt: str) -> Inbound:
    """What the platform says of a reply to a message of ours (Slack: the first word in its thread)."""
    if driver.channel.name == "slack":
        channel, ts = receipt.split("/")
        found = driver.channel.parse(
            slack.event("SPX since 2015", channel=channel, thread_ts=ts, ts="1800000000.000100")
        )
    else:
        channel, number = receipt.split("/")
        value = {
            "id": "71", "type": 19, "channel_id": channel, "author": {"id": driver.account}, "content": "SPX since 2015",
            "message_reference": {"type": 0, "message_id": number, "channel_id": channel},
        }  # fmt: skip
        found = parse_message(value, bot_id="99")
        forwarded = parse_message(value | {"type": 0}, bot_id="99")
        assert isinstance(forwarded, Inbound)
        assert forwarded.quotes == ()
    assert isinstance(found, Inbound)
    return found


@pytest.mark.parametrize("driver", ["discord", "slack"], indirect=True)
async def test_a_reply_answers_on_other_platforms_as_well(driver: Driver, worker: TestWorker) -> None:
    await link_account("demo-pro", driver.channel.name, driver.account)
    await asks(worker, channel="web")
    [(receipt,)] = await rows(
        f"SELECT receipt FROM deliveries WHERE kind = 'question' AND channel = '{driver.channel.name}'"
    )

    assert await receive(driver.channel, await replied_in_direct_messages(driver, receipt)) == "accepted"
    await deliver(await new_sender())

    assert await answers() == [("answered", {"period": "SPX since 2015"})]
    assert any("Taken as the answer to: " in text for text in driver.shown())


async def test_a_message_that_waited_for_the_one_before_it_may_be_older_than_the_question(
    bot_api: BotApi, worker: TestWorker
) -> None:
    assert await send_file(bot_api) == "accepted"
    await write("And what of NDX?", number=11)
    await asks(worker)

    assert await take_files((await new_sender()).id) == 2

    assert await answers() == [("pending", None)]
    assert await open_turns() == ["Read this", "And what of NDX?"]
