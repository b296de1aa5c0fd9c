"""How messages that waited end: whole or not at all, beside `/stop`, and leaving nothing behind.

Source: DESIGN.md section 2: every accepted message ends answered, refused with a reason, or visibly given up.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.uploads import MOST_WAITING
from channels_app import inbox
from channels_app.accepting import Said, accept
from channels_app.channels import Inbound
from channels_app.channels.slack import CHANNEL as SLACK
from channels_app.channels.telegram import CHANNEL
from channels_app.deliveries.rows import lock_lanes
from channels_app.files_in import LOST, take
from channels_app.inbound import receive
from channels_app.inbox import Kept
from channels_app.tests.chats.bot_api import CUT, HELD, Reply
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender, take_files
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_files_in import NOTES
from channels_app.tests.chats.test_inbox_order import contents, let_it_be_due
from channels_app.tests.chats.test_telegram_files import Driver
from channels_app.tests.doubles.slack import BOT, SlackDriver, event
from channels_app.tests.live import PATIENCE_S, serving
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        made.api.files |= {"a.md": NOTES, "b.md": NOTES}
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


async def claim_one(chat: Chat) -> Kept:
    [kept] = await inbox.claim(chat.sender.id, channels=["telegram"], busy=[], limit=1)
    return kept


async def fetch_half(chat: Chat, driver: Driver) -> None:
    """An album of which one file is here, and the other is tried again later."""
    await chat.post(driver.document("a.md", 1, media_group_id="m", caption="Compare"))
    await chat.post(driver.document("b.md", 2, media_group_id="m"))
    driver.api.script.extend([Reply(), Reply(), CUT])
    await let_it_be_due()
    await take_files(chat.sender.id)
    assert await rows("SELECT name FROM uploads") == [("a.md",)]


async def until_wait(backends: int) -> None:
    """So many wait for a lock that another has."""
    async with asyncio.timeout(PATIENCE_S):
        while await rows("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") != [(backends,)]:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.005)


async def test_files_of_messages_that_are_refused_stand_in_nobodys_way(chat: Chat, driver: Driver) -> None:
    """Here by a command, which is refused once its file is here."""
    for number in range(MOST_WAITING + 1):
        await chat.post(driver.document("a.md", number, caption="/status"))
        await take_files(chat.sender.id)
    assert await rows("SELECT count(*) FROM uploads") == [(0,)]

    await chat.post(driver.document("a.md", 60, caption="and now?"))
    await take_files(chat.sender.id)

    assert await contents() == ["and now?"]


async def test_stop_erases_what_was_fetched(chat: Chat, driver: Driver) -> None:
    await fetch_half(chat, driver)

    await chat.write("/stop", number=9)

    assert await rows("SELECT count(*) FROM uploads") == [(0,)]


async def test_what_is_given_up_leaves_no_file(chat: Chat, driver: Driver) -> None:
    await fetch_half(chat, driver)
    await rows("UPDATE chat_inbox SET attempts = 3, run_after = clock_timestamp()")

    await take_files(chat.sender.id)
    await chat.deliver()

    assert (driver.shown(), await rows("SELECT count(*) FROM uploads")) == ([LOST], [(0,)])


async def test_a_message_that_is_dropped_while_its_file_is_fetched_has_no_turn(chat: Chat, driver: Driver) -> None:
    """Its process fetches the file meanwhile."""
    await chat.post(driver.document("a.md", 1, caption="Deploy it"))
    kept = await claim_one(chat)
    driver.api.script.append(HELD)
    working = asyncio.create_task(take(kept))
    await driver.api.until(lambda api: len(api.calls) == 1)
    async with connection() as conn, conn.transaction():
        await inbox.forget(conn, "telegram", user_id="demo-pro", thread="")
    driver.api.released.set()
    await working

    assert await contents() == []
    assert await rows("SELECT count(*) FROM uploads") == [(0,)]


async def test_a_message_is_stored_as_a_turn_and_taken_from_the_inbox_at_once(chat: Chat, driver: Driver) -> None:
    """Its row is locked first: `/stop` finds either a message that waits or a turn that runs."""
    await chat.post(driver.document("a.md", 1, caption="Deploy it"))
    kept = await claim_one(chat)
    async with connection() as conn, conn.transaction():
        await inbox.forget(conn, "telegram", user_id="demo-pro", thread="")
        said = Said(channel=CHANNEL, inbound=kept.inbound, user_id="demo-pro", content="Deploy it", kept=kept)
        accepting = asyncio.create_task(accept(said))
        await until_wait(1)
    with pytest.raises(inbox.Lost):
        await accepting

    assert await contents() == []


async def stop_meanwhile(chat: Chat, kept: Kept) -> None:
    """The message ends while its author stops, and somebody else has the chat's lane just then."""
    async with connection() as conn, conn.transaction():
        await lock_lanes(conn, {"telegram:7"})
        ending = asyncio.create_task(take(kept))
        await until_wait(1)
        stopping = asyncio.create_task(chat.write("/stop", number=2))
        await until_wait(2)
    await ending
    assert (await stopping).status_code == 200


async def test_giving_up_and_stop_wait_for_each_other_in_one_order(chat: Chat, driver: Driver) -> None:
    """Both say something in the same chat about the same row."""
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await rows("UPDATE chat_inbox SET attempts = 3")

    await stop_meanwhile(chat, await claim_one(chat))
    await chat.deliver()

    assert driver.shown() == [LOST, "Nothing is running."]


async def test_accepting_and_stop_wait_for_each_other_in_one_order(chat: Chat, driver: Driver) -> None:
    """Here of a file that is not taken something is said, too."""
    driver.api.files["tool.exe"] = b"MZ\x90\0"
    await chat.post(driver.document("tool.exe", 1, caption="Look"))

    await stop_meanwhile(chat, await claim_one(chat))

    assert await rows("SELECT content, state FROM turns ORDER BY id") == [("Look", "cancelled"), ("/stop", "done")]


@pytest.mark.parametrize(("limit", "conversations"), [(0, 0), (60, 1)])
async def test_a_thread_begins_a_conversation_once_a_message_of_it_is_taken(
    settings: Any, licensed: dict[str, str], pool: None, limit: int, conversations: int
) -> None:
    found = SLACK.parse(event(f"<@{BOT}> hi", type="app_mention", channel="C1"))
    assert isinstance(found, Inbound)
    await link_account("demo-pro", "slack", "T1:U7")
    await rows(f"""UPDATE user_licenses SET resource_limits = '{{"messages_per_minute": {limit}}}'""")
    async with SlackDriver().on(settings):
        await receive(SLACK, found)

    assert await rows("SELECT count(*) FROM conversations") == [(conversations,)]
    assert await rows("SELECT count(*) FROM chat_threads") == [(conversations,)]
