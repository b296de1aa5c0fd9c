"""What every channel of the folder makes of limits, waits, closed chats and sends that fail. DESIGN.md sections 2 and 4."""

import asyncio
import json

import pytest

from agents.tests.engine import ScriptedBrain, TestWorker, let_retries_be_due
from channels_app.deliveries.attempts import attempt
from channels_app.deliveries.intake import ASKS_FIRST, take_outbox
from channels_app.deliveries.rows import begin_sending
from channels_app.deliveries.sweeping import sweep
from channels_app.presses import UNKNOWN
from channels_app.tests.chats.contract import Chat, Previewing, link_account
from channels_app.tests.chats.sending import let_all_be_due, new_sender, states
from channels_app.tests.chats.tables import rows

pytestmark = pytest.mark.django_db(transaction=True)


async def answer_of(worker: TestWorker, chat: Chat) -> str | None:
    """A turn whose answer is about to be shown as far as it is written; None where that is not done."""
    if not chat.driver.streams:
        return None
    await chat.write("Tell me")
    await rows(f"UPDATE turns SET reply_to = '{json.dumps(chat.driver.target())}'")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "One.")
    await previewing.look()
    return turn


async def test_a_limit_is_told_once_in_its_window(chat: Chat) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 1}'""")
    for number in range(5):
        await chat.write("Hello", number=number)
    await chat.deliver()

    told = [text for text in chat.driver.shown() if "You can write again in" in text]
    assert len(told) == 1
    assert await rows("SELECT count(*) FROM turns") == [(1,)]


async def test_a_wait_that_the_platform_asks_for_holds_for_the_chat(chat: Chat) -> None:
    chat.driver.flood(17)
    for text in ("first", "second"):
        await chat.tell(text)

    await chat.sender.send_next()

    assert await chat.sender.claim() is None
    [(pause,)] = await rows("SELECT extract(epoch FROM not_before - clock_timestamp())::float FROM chat_lanes")
    assert 10 < pause <= 17
    await chat.deliver()
    assert chat.driver.shown() == ["first", "second"]
    assert await rows("SELECT attempts FROM deliveries ORDER BY id") == [(2,), (1,)]


async def test_a_closed_chat_ends_its_link_and_the_users_other_chats_are_told(chat: Chat) -> None:
    """Source: PLATFORMS: permanent errors deactivate the link."""
    driver, name = chat.driver, chat.driver.channel.name
    await rows("DELETE FROM user_channel_links WHERE user_id = 'demo-free'")
    await link_account("demo-pro", name, driver.other)
    driver.close_chat()
    await chat.tell("first")
    await chat.tell("second")

    await chat.deliver()

    assert await rows("SELECT channel_user_id FROM user_channel_links") == [(driver.other,)]
    assert await rows("SELECT actor, object FROM audit WHERE action = 'link.removed'") == [
        ("gateway", f"{name}:{driver.account}")
    ]
    assert driver.shown() == []
    [told] = driver.shown(driver.other)
    assert f"Your {driver.channel.label} chat takes no messages" in told
    assert await states() == ["failed", "failed", "sent"]


async def test_a_message_that_is_refused_fails_alone_and_keeps_the_link(chat: Chat) -> None:
    chat.driver.refuse()
    for text in ("bad", "good"):
        await chat.tell(text)

    await chat.deliver()

    assert chat.driver.shown() == ["good"]
    assert await states() == ["failed", "sent"]
    assert await rows("SELECT count(*) FROM user_channel_links WHERE user_id = 'demo-pro'") == [(1,)]


@pytest.mark.parametrize("done", [False, True])
async def test_a_send_that_may_have_arrived_is_marked_and_not_repeated(chat: Chat, done: bool) -> None:
    """Where the platform takes the same message once it is, and the message is shown once in any case."""
    repeats = chat.driver.channel.repeats_s(chat.driver.target())
    chat.driver.cut(done=done)
    await chat.tell("once at the most")
    await chat.deliver()
    calls = chat.driver.calls
    await chat.deliver()

    assert await states() == ["sent" if repeats else "ambiguous"]
    assert chat.driver.calls == calls
    assert chat.driver.shown() == (["once at the most"] if done or repeats else [])


@pytest.mark.parametrize("found_before_the_end", [False, True])
async def test_a_preview_whose_receipt_was_lost_with_its_worker_is_taken_over_where_it_can_be_found(
    chat: Chat, worker: TestWorker, found_before_the_end: bool
) -> None:
    """It stays above the answer where the platform can't tell whether it has a message already."""
    driver = chat.driver
    turn = await answer_of(worker, chat)
    if turn is None:
        return
    await take_outbox()
    await let_all_be_due()
    claim = await chat.sender.claim()
    assert claim is not None
    assert await begin_sending(claim, holder=chat.sender.id)
    await attempt(claim)
    await chat.sender.die()
    chat.sender = await new_sender()
    if found_before_the_end:
        await sweep()
    await worker.order(turn, "say", " Two.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    await take_outbox()
    await sweep()

    await chat.deliver()

    found = driver.channel.repeats_s(claim.target)
    assert driver.shown() == (["One. Two."] if found else ["One.", "One. Two."])


async def test_a_message_that_can_not_be_told_from_another_any_more_is_not_repeated(chat: Chat) -> None:
    """Source: Discord, enforce_nonce: "in the past few minutes"."""
    repeats = chat.driver.channel.repeats_s(chat.driver.target())
    chat.driver.cut(done=True)
    await chat.tell("once")
    await chat.sender.send_next()
    await let_all_be_due()
    assert await states() == ["pending" if repeats else "ambiguous"]
    await rows("UPDATE deliveries SET repeat_until = repeat_until - interval '1 day'")

    assert await chat.sender.claim() is None
    await sweep()

    assert await states() == ["ambiguous"]
    assert chat.driver.shown() == ["once"]


@pytest.mark.parametrize("dies", [False, True])
async def test_the_time_for_sending_again_begins_with_the_first_try(chat: Chat, dies: bool) -> None:
    if not chat.driver.channel.repeats_s(chat.driver.target()):
        return
    chat.driver.cut()
    await chat.tell("once")
    await chat.sender.send_next()
    [(ends,)] = await rows("SELECT repeat_until FROM deliveries")
    await let_all_be_due()

    if dies:
        claim = await chat.sender.claim()
        assert claim is not None
        assert await begin_sending(claim, holder=chat.sender.id)
        await chat.sender.die()
        await sweep()
    else:
        chat.driver.cut()
        await chat.sender.send_next()

    assert await rows("SELECT state, repeat_until FROM deliveries") == [("pending", ends)]


async def test_a_message_whose_time_for_sending_again_ends_while_it_waits_for_its_slot_is_not_sent(chat: Chat) -> None:
    if not chat.driver.channel.repeats_s(chat.driver.target()):
        return
    chat.driver.cut(done=True)
    await chat.tell("once")
    await chat.sender.send_next()
    await let_all_be_due()
    claim = await chat.sender.claim()
    assert claim is not None
    await rows("UPDATE deliveries SET repeat_until = clock_timestamp()")

    assert not await begin_sending(claim, holder=chat.sender.id)


async def test_a_preview_that_may_have_been_shown_keeps_its_text_until_that_is_known(
    chat: Chat, worker: TestWorker
) -> None:
    """The platform takes the same message once, not another under its key."""
    driver = chat.driver
    turn = await answer_of(worker, chat)
    if turn is None or not driver.channel.repeats_s(driver.target()):
        return
    driver.cut(done=True)
    await let_all_be_due()
    await chat.sender.send_next()
    previewing = Previewing(worker)
    await previewing.say(turn, " Two.")
    await previewing.look()

    await let_all_be_due()
    await chat.sender.send_next()

    assert await rows("SELECT state, receipt <> '' FROM deliveries") == [("sent", True)]
    assert driver.shown() == ["One."]
    await previewing.look()
    await chat.deliver()
    assert driver.shown() == ["One. Two."]


async def test_words_that_may_stand_in_a_chat_do_not_stay_above_what_the_next_attempt_asks(
    chat: Chat, worker: TestWorker
) -> None:
    """They were on their way when their worker died."""
    driver = chat.driver
    turn = await answer_of(worker, chat)
    if turn is None or not driver.channel.repeats_s(driver.target()):
        return
    driver.cut(done=True)
    await let_all_be_due()
    await chat.sender.send_next()
    await worker.die()
    await let_retries_be_due()
    other = await TestWorker(ScriptedBrain()).begin()
    assert await other.claim() == turn
    await other.order(turn, "ask yes")
    await other.done(turn)
    await chat.deliver()

    said, asked = driver.shown()
    assert said == ASKS_FIRST
    assert "Deploy golden" in asked


async def test_an_edit_that_may_have_arrived_is_made_again(chat: Chat, worker: TestWorker) -> None:
    """It writes the same text into the same message."""
    driver = chat.driver
    if not driver.streams:
        return
    await chat.write("Tell me")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "One.")
    await previewing.look()
    await chat.deliver()
    await worker.order(turn, "say", " Two.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    driver.cut(done=True)

    await chat.deliver()

    assert driver.shown() == ["One. Two."]
    assert set(await states()) == {"sent"}


async def test_a_press_whose_answer_has_to_wait_long_is_answered_by_a_message(chat: Chat) -> None:
    driver = chat.driver
    driver.flood(40)

    await chat.post(driver.press("unknown"))
    async with asyncio.timeout(60):
        while await states() == []:  # noqa: ASYNC110 - nobody waits for an acknowledgement
            await asyncio.sleep(0.01)

    assert await chat.sender.claim() is None
    await chat.deliver()
    assert driver.shown() == [UNKNOWN]
