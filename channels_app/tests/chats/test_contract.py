"""What every channel of the folder promises. Source: channels/__init__.py; DESIGN.md sections 2 and 4; PLATFORMS."""

import asyncio
import json
from typing import Any

import pytest

from accounts.link_requests import requests_of
from agents.approvals import get_approval
from agents.tests.engine import ScriptedBrain, TestWorker, let_retries_be_due, say, something_waits
from channels_app import linking
from channels_app.bodies import MAX_BODY_BYTES
from channels_app.channels import channel_that_is_on, channels
from channels_app.deliveries.intake import ASKS_FIRST
from channels_app.presses import UNKNOWN
from channels_app.tests.chats.conftest import DRIVERS
from channels_app.tests.chats.contract import Chat, Previewing, codes, flat
from channels_app.tests.chats.sending import states
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.driver import Driver
from channels_app.tests.live import error_code
from channels_app.text import utf16_units

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_channel_of_the_folder_has_a_driver() -> None:
    assert set(DRIVERS) == set(channels())


async def test_a_channel_is_configured_wholly_or_not_at_all(driver: Driver, settings: Any) -> None:
    channel = driver.channel
    assert channel.is_on()
    assert channel.faults() == []
    for name, value in driver.half.items():
        setattr(settings, name, "")
        assert "together" in " ".join(channel.faults())
        assert channel_that_is_on(channel.name) is None
        assert value not in " ".join(channel.faults())
        assert not channel.admits(driver.message("Hi").headers)


def test_every_channels_name_label_and_accounts_are_its_own(driver: Driver) -> None:
    channel, target = driver.channel, driver.target()

    assert channel.name == channel.name.lower()
    assert channel.account_of(target) == driver.account
    assert channel.chat_of(channel.target_of(driver.account)) == channel.chat_of(target)
    assert channel.private(target) == target
    assert channel.is_account(driver.account)
    assert not any(channel.is_account(text) for text in ("", " ", "\u0967", "a b", "x" * 300, "\n7", "7\n"))
    assert json.loads(json.dumps(target)) == target


async def test_what_the_platform_did_not_send_is_refused_and_nothing_kept(chat: Chat) -> None:
    driver, post = chat.driver, chat.driver.message("Hi")
    refused = {
        "forged": (driver.forged(post), 401),
        "unsigned": (type(post)(post.body, {"Content-Type": "application/json"}), 401),
        "too large": (driver.signed(b" " * (MAX_BODY_BYTES + 1)), 413),
        "of another type": (post.with_headers(**{"Content-Type": "text/plain"}), 415),
        "no JSON": (driver.signed(b"{"), 400),
        "no object": (driver.signed(b"[]"), 400),
        "of another form": (driver.signed(b'{"a": 1, "type": true}'), 400),
        "with a NUL": (driver.signed(b'{"a": "\\u0000"}'), 400),
    }
    if driver.signs_time:
        refused["replayed"] = (driver.signed(post.body, age_s=301), 401)
        refused["tampered"] = (type(post)(post.body.replace(b"Hi", b"Ho"), post.headers), 401)

    for words, (each, status) in refused.items():
        assert error_code(await chat.post(each), status), words

    assert await rows("SELECT count(*) FROM turns") == [(0,)]
    assert await rows("SELECT count(*) FROM deliveries") == [(0,)]


async def test_what_stop_answers_comes_before_what_waits_in_the_chat(chat: Chat) -> None:
    await chat.tell("one")
    await chat.tell("two")
    await chat.write("/stop")

    await chat.deliver()

    assert [text.replace("\\", "") for text in chat.driver.shown()] == ["Nothing is running.", "one", "two"]


async def test_a_message_that_comes_ten_times_is_one_turn_whose_answer_comes_once(
    chat: Chat, worker: TestWorker
) -> None:
    driver = chat.driver
    responses = await asyncio.gather(*[chat.post(driver.message("RSI of SPX?")) for _ in range(10)])

    assert codes(responses) == [200] * 10
    assert await rows("SELECT user_id, channel, content FROM turns") == [
        ("demo-pro", driver.channel.name, "RSI of SPX?")
    ]
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", "It is **61.8**.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    for _ in range(2):
        await chat.deliver()
    [shown] = driver.shown()
    assert "61.8" in shown
    assert await states() == ["sent"]


async def test_messages_that_come_out_of_their_order_are_each_a_turn_once(chat: Chat) -> None:
    for number in (3, 1, 2, 3, 1):
        await chat.write(f"message {number}", number=number)

    assert [row[0] for row in await rows("SELECT content FROM turns ORDER BY accepted_at, id")] == [
        "message 3",
        "message 1",
        "message 2",
    ]


async def test_a_long_answer_comes_in_parts_that_hold_all_of_it(chat: Chat) -> None:
    words = [f"word{number}" for number in range(1400)]
    code = "\n".join(f"line_{number} = '<&>'" for number in range(150))
    await chat.tell(" ".join(words) + f"\n\n```python\n{code}\n```\n\n| a | b |\n|---|---|\n| c | d |")
    await chat.deliver()

    shown = chat.driver.shown()
    assert all(word in flat(shown) for word in words)
    if chat.driver.limit is not None:
        assert len(shown) > 3
        assert max(map(utf16_units, shown)) <= chat.driver.limit
        assert all(text.count("```") % 2 == 0 for text in shown)


async def test_an_answer_grows_in_one_message_and_ends_there(chat: Chat, worker: TestWorker) -> None:
    """Source: the preview is the answer's first message; its last edit is the answer."""
    driver = chat.driver
    if not driver.streams:
        assert driver.channel.preview_every_s(driver.target()) is None
        return
    await chat.write("Tell me")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.look()
    await chat.deliver()
    assert flat(driver.shown()) == ""

    for text in ("One. ", "Two. ", "Three."):
        await previewing.say(turn, text)
        await previewing.look()
        await previewing.look(after_s=0)
        await chat.deliver()
        assert len(driver.shown()) == 1
        assert driver.shown()[0].endswith(text.strip())
    # Too soon after the last.
    await previewing.say(turn, " Four.")
    await previewing.look(after_s=0.1)
    await chat.deliver()
    assert driver.shown()[0].endswith("Three.")
    await previewing.look(after_s=5)

    await worker.order(turn, "say", " Five.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    await previewing.look()
    await chat.deliver()

    assert driver.shown() == ["One. Two. Three. Four. Five."]
    assert set(await states()) == {"sent"}


async def test_an_answer_after_a_decision_stands_below_it(chat: Chat, worker: TestWorker) -> None:
    driver = chat.driver
    await chat.write("Do it")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "Before.")
    await previewing.look()
    await chat.deliver()
    await worker.order(turn, "ask yes")
    await worker.done(turn)
    await chat.deliver()
    (_, approve), _ = driver.buttons()
    await chat.post(driver.press(approve))
    await chat.deliver()

    again = await worker.claim()
    assert again == turn
    await previewing.look()
    await previewing.say(turn, "After.")
    await previewing.look()
    await chat.deliver()
    await worker.order(turn, "finish")
    await worker.done(turn)
    await chat.deliver()

    before, settled, after = driver.shown()
    assert (before, after) == ("Before.", "After.")
    assert "Approved" in settled


async def test_words_of_an_attempt_that_died_do_not_stay_above_what_the_next_one_asks(
    chat: Chat, worker: TestWorker
) -> None:
    driver = chat.driver
    await chat.write("Do it")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "I deploy it right away.")
    await previewing.look()
    await chat.deliver()
    await worker.die()
    await let_retries_be_due()
    other = await TestWorker(ScriptedBrain()).begin()
    assert await other.claim() == turn
    await other.order(turn, "ask yes")
    await other.done(turn)
    await chat.deliver()

    shown = driver.shown()
    assert "Deploy golden" in shown[-1]
    assert shown[:-1] == ([ASKS_FIRST] if driver.streams else [])


async def test_nothing_is_said_above_what_is_asked_where_nothing_was_written(chat: Chat, worker: TestWorker) -> None:
    await chat.write("Do it")
    turn = await worker.claim()
    assert turn is not None
    await Previewing(worker).look()
    await worker.order(turn, "ask yes")
    await worker.done(turn)
    await chat.deliver()

    [asked] = chat.driver.shown()
    assert "Deploy golden" in asked


async def test_a_stranger_is_told_how_to_link_once_and_is_linked_by_a_code(chat: Chat) -> None:
    driver, name = chat.driver, chat.driver.channel.name
    for number in (1, 2, 3):
        await chat.write("Hello there, who are you?", sender=driver.stranger, number=number)
    await chat.deliver()
    hints = [text for text in driver.shown(driver.stranger) if text]
    assert len(hints) == 1
    assert driver.channel.label in hints[0]
    assert await rows("SELECT count(*) FROM turns") == [(0,)]

    offer = await linking.offer_code("demo-enterprise", channel=name)
    await chat.write(f"/link {offer.issued.code}", sender=driver.stranger, number=4)
    [request] = await requests_of("demo-enterprise")
    assert request.account == driver.stranger
    await linking.confirm(request.id, user_id="demo-enterprise")
    await chat.deliver()

    assert "Linked." in driver.shown(driver.stranger)[-1]
    await chat.write("RSI of SPX?", sender=driver.stranger, number=5)
    assert await rows("SELECT user_id FROM turns") == [("demo-enterprise",)]


async def test_an_approval_is_decided_by_its_users_press_once(chat: Chat) -> None:
    driver = chat.driver
    approval = await something_waits("demo-pro")
    await chat.deliver()
    found = driver.buttons()
    assert [label for label, _ in found] == ["Approve", "Reject"]
    assert all(len(token.encode()) <= 64 for _, token in found)

    for sender in (driver.other, driver.stranger):
        assert (await chat.post(driver.press(found[0][1], sender=sender))).status_code == 200
    await driver.until_noticed(2)
    assert set(driver.notices()) == {UNKNOWN}
    assert (await get_approval("demo-pro", approval)).state == "pending"

    posts = [chat.post(driver.press(token)) for _, token in found]
    assert codes(await asyncio.gather(*posts)) == [200, 200]
    await driver.until_noticed(4)
    await chat.deliver()

    state = (await get_approval("demo-pro", approval)).state
    assert state in {"approved", "rejected"}
    assert await rows("SELECT count(*) FROM audit WHERE action LIKE 'approval.%'") == [(1,)]
    [shown] = [text for text in driver.shown() if text]
    assert {"approved": "Approved", "rejected": "Rejected"}[state] in shown
    assert driver.buttons() == []


async def test_a_question_is_answered_by_what_its_user_writes_next(chat: Chat, worker: TestWorker) -> None:
    driver = chat.driver
    await chat.write("Analyse it")
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "ask words")
    await worker.done(turn)
    await chat.deliver()

    await chat.write("Since 2015", sender=driver.other, number=2)
    assert await rows("SELECT state FROM questions") == [("pending",)]
    await chat.write("Since 2015", number=3)
    await chat.deliver()

    assert await rows("SELECT state, values FROM questions") == [("answered", {"period": "Since 2015"})]
    assert "Taken as the answer to" in driver.shown()[-1]
    assert "Answered" in driver.shown()[-2]
    assert await worker.claim() == turn


async def test_stop_ends_the_running_answer(chat: Chat, worker: TestWorker) -> None:
    driver = chat.driver
    await chat.write("Tell me a long story")
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", "Once upon a time")

    await chat.write("/stop", number=2)
    assert await rows("SELECT cancel_requested FROM turns ORDER BY id LIMIT 1") == [(True,)]
    # As the worker does that is notified of it.
    worker.runs[turn][0].cancel()
    await worker.done(turn)
    await chat.deliver()

    assert await rows("SELECT state FROM turns ORDER BY id LIMIT 1") == [("cancelled",)]
    assert any(text.startswith("Once upon a time") and "Stopped." in text for text in driver.shown())
    assert "Stopped." in driver.shown()


async def test_one_stop_says_once_that_what_waits_is_stopped(chat: Chat, worker: TestWorker) -> None:
    """But for a message of which its platform shows that it is worked on."""
    await chat.write("one")
    turn = await worker.claim()
    assert turn is not None
    for number in (2, 3):
        await chat.write("another", number=number)
    await chat.write("/stop", number=4)
    worker.runs[turn][0].cancel()
    await worker.done(turn)
    await chat.deliver()

    assert await rows("SELECT count(*) FROM turns WHERE state = 'cancelled'") == [(3,)]
    waiting = await rows("SELECT reply_to FROM turns WHERE content = 'another'")
    told = sum(chat.driver.channel.waits_for_word(target) for (target,) in waiting)
    assert chat.driver.shown().count("Stopped.") + chat.driver.shown().count("*Stopped.*") == 2 + told


async def test_what_waits_in_a_chat_and_is_stopped_elsewhere_is_told_there(chat: Chat, worker: TestWorker) -> None:
    await chat.write("one")

    await say("/stop")
    await chat.deliver()

    assert chat.driver.shown() == ["Stopped."]


@pytest.mark.parametrize("driver", ["webhook"], indirect=True)
async def test_a_text_that_is_too_long_is_not_taken_and_its_author_is_told(chat: Chat) -> None:
    """Source: docs/channels.md, `text`."""
    await chat.write("x" * 32_001)
    await chat.deliver()

    assert await rows("SELECT count(*) FROM turns") == [(0,)]
    assert chat.driver.shown() == ["The message is longer than 32,000 characters."]


async def test_the_health_page_lists_every_channel_of_the_folder(chat: Chat) -> None:
    body = (await chat.http.get("/health")).json()

    assert set(body["channels"]) == set(channels())
    assert body["channels"][chat.driver.channel.name] == "on"
