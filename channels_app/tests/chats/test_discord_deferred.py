"""Discord's deferred answers: each is filled in once, by what is said first. Source: discord.com/developers, "Interactions"."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from channels_app.channels._discord.interactions import DEFERRED
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.refused import MISSING
from channels_app.deliveries.unsure import UNSURE, own_up
from channels_app.files_in import UNLINKED
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import let_all_be_due, new_sender, states, take_files, tell_on
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_files_in import NOTES, Discord
from channels_app.tests.doubles.discord import interaction, snowflake
from channels_app.tests.doubles.driver import Post
from channels_app.tests.doubles.peer import CUT_WHEN_DONE, Reply
from channels_app.tests.doubles.transcriber import transcribing
from channels_app.tests.live import serving
from gateway.db import connection
from gateway.ids import new_id

FRONT = b"<html>bad gateway</html>"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Discord]:
    made = Discord()
    async with made.on(settings):
        made.has("notes.md", NOTES)
        made.has("tool.exe", b"MZ\x90\0\x03\0\0\0")
        made.has("v.ogg", b"OggS....")
        yield made


@pytest.fixture
async def chat(driver: Discord, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "discord", driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


def asked(driver: Discord, *names: str) -> Post:
    """Something new, with files; one that ends in .ogg is spoken."""
    files = {
        str(index): {
            "id": str(index),
            "filename": name,
            "url": f"{driver.peer.url}/attachments/{name}",
            "content_type": "audio/ogg" if name.endswith(".ogg") else "text/plain",
        }
        for index, name in enumerate(names, start=100)
    }
    options = [{"name": "file", "type": 11, "value": key} for key in files]
    data = {"name": "ask", "type": 1, "options": options, "resolved": {"attachments": files}}
    return driver.signed(json.dumps(interaction(id=snowflake(), data=data)).encode())


async def deferred(chat: Chat, post: Post) -> None:
    response = await chat.post(post)
    assert response.json()["type"] == DEFERRED
    await take_files(chat.sender.id)
    await chat.deliver()


async def ended(content: str) -> None:
    """The turn that waits is over."""
    [(turn, target)] = await rows("SELECT id::text, reply_to FROM turns")
    await rows("UPDATE turns SET state = 'done', finished_at = clock_timestamp()")
    row = OutboxRow(new_id(), turn, "demo-pro", "discord", target, "done", {"content": content})
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, row)


async def answered(chat: Chat, content: str) -> None:
    """The same, and said."""
    await ended(content)
    await chat.deliver()


async def test_what_was_not_taken_stands_above_the_answer(chat: Chat, driver: Discord) -> None:
    await deferred(chat, asked(driver, "notes.md", "tool.exe"))
    await answered(chat, "These are notes.")

    notice, answer = driver.shown()
    assert "tool.exe" in notice
    assert answer == "These are notes."


async def test_what_was_heard_and_what_was_not_taken_stand_above_the_answer(
    chat: Chat, driver: Discord, settings: Any
) -> None:
    async with transcribing() as peer:
        settings.TRANSCRIPTION_MODEL = "whisper-1"
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "only-for-tests", f"{peer.url}/v1"
        await deferred(chat, asked(driver, "v.ogg", "tool.exe"))
    await answered(chat, "RSI is 61.")

    notice, heard, answer = driver.shown()
    assert "tool.exe" in notice
    assert "What is the RSI of SPX?" in heard
    assert answer == "RSI is 61."


async def test_where_nothing_could_be_taken_that_is_the_answer(chat: Chat, driver: Discord) -> None:
    await deferred(chat, asked(driver, "tool.exe"))

    [notice] = driver.shown()
    assert "tool.exe" in notice


async def test_a_limit_that_was_told_before_is_told_to_each_that_was_deferred(chat: Chat, driver: Discord) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 0}'""")
    for _ in range(2):
        await deferred(chat, asked(driver, "notes.md"))

    first, second = driver.shown()
    assert "messages" in first
    assert second == first


async def test_who_is_unlinked_while_files_are_fetched_is_told_so(chat: Chat, driver: Discord) -> None:
    response = await chat.post(asked(driver, "notes.md"))
    assert response.json()["type"] == DEFERRED
    await rows("DELETE FROM user_channel_links")
    await take_files(chat.sender.id)
    await chat.deliver()

    assert driver.shown() == [UNLINKED]


@pytest.mark.parametrize("fault", [Reply(500, FRONT), Reply(502, FRONT), Reply(504, FRONT), CUT_WHEN_DONE])
@pytest.mark.parametrize("age_s", [None, 1200])
async def test_direct_messages_that_could_not_be_opened_are_opened_again(
    chat: Chat, driver: Discord, fault: Any, age_s: int | None
) -> None:
    """Opening them sends nothing, so it is no message that may have been shown, nor one that has a minute."""
    over = {} if age_s is None else {"interaction": snowflake(age_s=age_s), "token": "t.7.1", "guild": False}
    await tell_on(driver.channel, "BTC is below 50000", target={"user": "7"} | over, user="demo-pro")
    driver.peer.script.append(fault)
    await let_all_be_due()
    await chat.sender.send_next()
    assert await rows("SELECT state, repeat_until FROM deliveries") == [("pending", None)]

    await chat.deliver()

    assert driver.shown() == ["BTC is below 50000"]
    assert await states() == ["sent"]


@pytest.mark.parametrize("status", [502, 503])
async def test_what_discord_did_not_take_is_sent_again_after_the_interaction(
    chat: Chat, driver: Discord, status: int
) -> None:
    """A part below the first has no key by which it is told from another."""
    target = {"user": "7", "channel": "97", "interaction": snowflake(), "token": "t.7.1", "guild": False}
    await tell_on(driver.channel, "word " * 500, target=target, user="demo-pro")
    await chat.sender.send_next()
    driver.peer.script.append(Reply(status, FRONT))

    await chat.deliver()

    assert len(driver.shown()) == 2
    assert await states() == ["sent", "sent"]


async def test_who_may_miss_the_end_of_an_answer_keeps_its_beginning(chat: Chat, driver: Discord) -> None:
    """What is said of it fills nothing in."""
    await deferred(chat, asked(driver, "notes.md"))
    await ended("word " * 500)
    await take_outbox()
    await chat.sender.send_next()
    driver.peer.script.append(Reply(500, FRONT))
    await let_all_be_due()
    await chat.sender.send_next()

    await own_up()
    await chat.deliver()

    beginning, told = driver.shown()
    assert beginning.startswith("word word")
    assert told == UNSURE


@pytest.mark.parametrize("part", [0, 1])
async def test_what_is_said_of_a_refused_part_takes_the_place_of_nothing_that_is_shown(
    chat: Chat, driver: Discord, part: int
) -> None:
    await deferred(chat, asked(driver, "notes.md"))
    await ended("word " * 500)
    await take_outbox()
    for _ in range(part):
        await chat.sender.send_next()
    driver.refuse()

    await chat.deliver()

    shown, told = driver.shown()
    assert shown.startswith("word word")
    assert told == MISSING
