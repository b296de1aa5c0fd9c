"""What every channel of the folder makes of limits, waits, closed chats and sends that fail. DESIGN.md sections 2 and 4."""

import asyncio

import pytest

from agents.tests.engine import TestWorker
from channels_app.presses import UNKNOWN
from channels_app.tests.chats.contract import Chat, Previewing, link_account
from channels_app.tests.chats.sending import states
from channels_app.tests.chats.tables import rows

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_a_send_that_may_have_arrived_is_marked_and_not_repeated(chat: Chat) -> None:
    chat.driver.cut()
    await chat.tell("once at the most")
    await chat.deliver()
    calls = chat.driver.calls
    await chat.deliver()

    assert await states() == ["ambiguous"]
    assert chat.driver.calls == calls


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
    async with asyncio.timeout(10):
        while await states() == []:  # noqa: ASYNC110 - nobody waits for an acknowledgement
            await asyncio.sleep(0.01)

    assert await chat.sender.claim() is None
    await chat.deliver()
    assert driver.shown() == [UNKNOWN]
