"""Messages that wait for files: in their order, beside those of others, and never lost without a word.

Source: DESIGN.md section 2: every accepted message ends answered, refused with a reason, or visibly given up.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from channels.routing import get_default_application
from prometheus_client import REGISTRY

from agents.busy import QUEUE_CAP, queue_full
from channels_app.deliveries.sweeping import tidy
from channels_app.files_in import LOST, TOO_LATE
from channels_app.inbound import DROPPED_ALL
from channels_app.inbox import claim
from channels_app.inbox_desk import Desk, run
from channels_app.tests.chats.bot_api import CUT, HELD, Reply
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender, take_files
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_dispatcher import running
from channels_app.tests.chats.test_files_in import NOTES
from channels_app.tests.chats.test_telegram_files import Driver
from channels_app.tests.live import PATIENCE_S, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        made.api.files |= {"a.md": NOTES, "b.md": NOTES, "c.md": NOTES}
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", driver.account)
    await link_account("demo-free", "telegram", driver.other)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


async def contents() -> list[str]:
    return [row[0] for row in await rows("SELECT content FROM turns ORDER BY id")]


def metered(outcome: str) -> float:
    return REGISTRY.get_sample_value("dexorder_inbox_total", {"channel": "telegram", "outcome": outcome}) or 0.0


async def let_it_be_due() -> None:
    """Time passes."""
    await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")


async def test_what_is_written_after_a_file_comes_after_it(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="What is this?"))
    await chat.write("And compare it with last year", number=2)
    await chat.post(driver.document("b.md", 3, caption="and this?"))
    await chat.write("And now?", number=4)
    assert await contents() == []

    assert await take_files(chat.sender.id) == 4

    assert await contents() == ["What is this?", "And compare it with last year", "and this?", "And now?"]


async def test_a_text_waits_while_its_file_is_tried_again(chat: Chat, driver: Driver) -> None:
    driver.api.script.append(CUT)
    await chat.post(driver.document("a.md", 1, caption="What is this?"))
    await take_files(chat.sender.id)
    await chat.write("And now?", number=2)

    assert await take_files(chat.sender.id) == 0
    await let_it_be_due()
    await take_files(chat.sender.id)

    assert await contents() == ["What is this?", "And now?"]


async def test_a_text_that_waited_is_one_turn_however_often_it_is_posted(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1))
    for _ in range(3):
        await chat.write("And now?", number=2)
    await take_files(chat.sender.id)
    await chat.write("And now?", number=2)

    assert await contents() == ["Here is a.md.", "And now?"]


async def test_with_nothing_that_waits_a_message_is_a_turn_at_once(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1))
    await take_files(chat.sender.id)
    await chat.write("And now?", number=2)
    await chat.write("I am somebody else.", sender=driver.other, number=3)

    assert await contents() == ["Here is a.md.", "And now?", "I am somebody else."]
    assert await rows("SELECT count(*) FROM chat_inbox") == [(1,)]


@pytest.mark.parametrize("command", ["/stop", "/approve", "/reject", "/status"])
async def test_no_command_waits_for_a_file(chat: Chat, driver: Driver, command: str) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write(command, number=2)
    assert await contents() == [command]

    await take_files(chat.sender.id)
    assert await contents() == ([command] if command == "/stop" else [command, "Look"])


async def test_stop_drops_what_waits_in_its_conversation_and_says_so(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write("And now?", number=2)
    await chat.post(driver.document("b.md", 3, caption="elsewhere"))
    await rows(
        "UPDATE chat_inbox SET message = message || '{\"thread\": \"t\"}' WHERE message->>'content' = 'elsewhere'"
    )
    for _ in range(2):
        await chat.write("/stop", number=4)

    await take_files(chat.sender.id)
    await chat.deliver()

    assert await contents() == ["/stop", "elsewhere"]
    assert driver.shown() == [DROPPED_ALL.format(number=2), "Nothing is running."]


async def test_what_stop_has_dropped_does_not_run_when_the_platform_posts_it_again(chat: Chat, driver: Driver) -> None:
    """A platform that did not see our 200 does."""
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write("And now?", number=2)
    await chat.write("/stop", number=3)

    await chat.write("And now?", number=2)
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await take_files(chat.sender.id)

    assert await contents() == ["/stop"]


async def test_no_more_wait_than_a_conversation_has_room_for_and_that_is_said_once(chat: Chat, driver: Driver) -> None:
    for number in range(QUEUE_CAP + 3):
        assert (await chat.post(driver.document("a.md", number, caption=str(number)))).status_code == 200
    await chat.write("I am somebody else.", sender=driver.other, number=90)

    await chat.deliver()

    assert await rows("SELECT count(*) FROM chat_inbox") == [(QUEUE_CAP,)]
    assert driver.shown() == [queue_full().message]
    assert await contents() == ["I am somebody else."]


async def test_nothing_is_fetched_for_a_message_over_its_users_limit(chat: Chat, driver: Driver) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 0}'""")
    for number in range(3):
        await chat.post(driver.document("a.md", number, caption="Look"))

    await take_files(chat.sender.id)
    assert driver.api.calls == []
    await chat.deliver()

    assert len(driver.shown()) == 1
    assert await rows("SELECT message FROM chat_inbox") == [(None,)] * 3


async def test_stop_reaches_what_is_fetched_just_now(chat: Chat, driver: Driver) -> None:
    driver.api.script.append(HELD)
    await chat.post(driver.document("a.md", 1, caption="Look"))
    desk = Desk(chat.sender.id)
    await desk.begin()
    await driver.api.until(lambda api: len(api.calls) == 1)
    await chat.write("/stop", number=2)
    driver.api.released.set()
    await desk.rest()

    assert await take_files(chat.sender.id) == 0
    assert await contents() == ["/stop"]
    assert await rows("SELECT count(*) FROM uploads") == [(0,)]


@pytest.mark.parametrize("command", ["/new", "/model"])
async def test_what_a_command_changes_holds_for_what_is_written_after_it(
    chat: Chat, driver: Driver, command: str
) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write(command, number=2)
    await take_files(chat.sender.id)

    assert await contents() == ["Look", command]


async def test_a_slow_file_holds_up_nobody_else(chat: Chat, driver: Driver) -> None:
    driver.api.script.append(HELD)
    await chat.post(driver.document("a.md", 1, caption="slow"))
    await chat.write("after the slow one", number=2)
    ended = asyncio.Event()
    desk = Desk(chat.sender.id, on_end=ended.set)
    assert await desk.begin() == 1
    await driver.api.until(lambda api: len(api.calls) == 1)
    post = driver.document("b.md", 3, caption="quick")
    value = post.body.replace(b'"id": 7', b'"id": 8')
    await chat.post(driver.signed(value))

    assert await desk.begin() == 1
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
    assert await contents() == ["quick"]
    assert await desk.begin() == 0, "its own user's next waits"

    driver.api.released.set()
    await desk.rest()
    await take_files(chat.sender.id)
    assert await contents() == ["quick", "slow", "after the slow one"]


async def test_a_process_that_ends_leaves_its_message_to_another_without_an_attempt(chat: Chat, driver: Driver) -> None:
    driver.api.script.append(HELD)
    await chat.post(driver.document("a.md", 1, caption="Look"))
    desk = Desk(chat.sender.id)
    await desk.begin()
    await driver.api.until(lambda api: len(api.calls) == 1)
    await desk.end(patience_s=0)

    assert await rows("SELECT holder, attempts FROM chat_inbox") == [(None, 0)]
    assert await take_files((await new_sender()).id) == 1
    assert await contents() == ["Look"]


async def test_a_file_is_stored_once_however_often_another_is_tried(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, media_group_id="m", caption="Compare"))
    await chat.post(driver.document("b.md", 2, media_group_id="m"))
    # The first file comes at the first attempt, the second one at the third.
    for replies in ([Reply(), Reply(), CUT], [CUT], []):
        driver.api.script.extend(replies)
        await let_it_be_due()
        await take_files(chat.sender.id)

    assert await contents() == ["Compare"]
    assert await rows("SELECT name, turn_id IS NULL FROM uploads ORDER BY place") == [("a.md", False), ("b.md", False)]
    asked = [call.parameters["file_id"] for call in driver.api.calls if call.method == "getFile"]
    assert asked == ["a.md", "b.md", "b.md", "b.md"]


async def test_three_faults_of_ours_end_with_a_sentence(chat: Chat, driver: Driver) -> None:
    """Here a row that this version can't read."""
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write("And now?", number=2)
    await rows(
        """UPDATE chat_inbox SET message = message || '{"files": [5]}' WHERE id = (SELECT min(id) FROM chat_inbox)"""
    )
    before = metered("given_up"), metered("later"), metered("taken")
    for attempt in range(3):
        await chat.deliver()
        assert driver.shown() == [], attempt
        await let_it_be_due()
        await take_files(chat.sender.id)
    await chat.deliver()

    assert driver.shown() == [LOST]
    assert (metered("given_up"), metered("later"), metered("taken")) == (before[0] + 1, before[1] + 2, before[2] + 1)
    assert await contents() == ["And now?"]
    assert await rows("SELECT message FROM chat_inbox") == [(None,), (None,)]


async def test_a_row_that_nobody_can_read_is_let_go_and_the_next_is_taken(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.write("And now?", number=2)
    await rows("""UPDATE chat_inbox SET message = '{"files": 5}' WHERE id = (SELECT min(id) FROM chat_inbox)""")
    for _ in range(3):
        await let_it_be_due()
        await take_files(chat.sender.id)

    assert await contents() == ["And now?"]
    assert await rows("SELECT message FROM chat_inbox") == [(None,), (None,)]


async def test_the_service_takes_what_comes_until_it_is_told_to_stop(chat: Chat, driver: Driver) -> None:
    async with running(run), asyncio.timeout(PATIENCE_S):
        for number in (1, 3):
            await chat.post(driver.document("a.md", number, caption=f"file {number}"))
            await chat.write(f"text {number + 1}", number=number + 1)
        while len(await contents()) < 4:  # noqa: ASYNC110 - the rows are made by the service
            await asyncio.sleep(0.01)

    assert await contents() == ["file 1", "text 2", "file 3", "text 4"]


async def test_a_message_whose_processes_die_is_given_up_with_a_sentence(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await rows("UPDATE chat_inbox SET attempts = 3")

    await take_files(chat.sender.id)
    await chat.deliver()

    assert (driver.shown(), await contents()) == ([LOST], [])


async def test_what_a_process_takes_up_again_is_no_further_attempt(chat: Chat, driver: Driver) -> None:
    """It broke off since the database was away; another process's attempt counts."""
    await chat.post(driver.document("a.md", 1, caption="Look"))

    async def attempts(holder: UUID) -> int:
        [kept] = await claim(holder, channels=["telegram"], busy=[], limit=1)
        return kept.attempts

    assert [await attempts(chat.sender.id) for _ in range(3)] == [1, 1, 1]
    await chat.sender.die()
    assert await attempts((await new_sender()).id) == 2


async def test_a_channel_that_is_off_uses_up_no_attempts(chat: Chat, driver: Driver, settings: Any) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    secret, settings.TELEGRAM_WEBHOOK_SECRET = settings.TELEGRAM_WEBHOOK_SECRET, ""
    for _ in range(5):
        await let_it_be_due()
        assert await take_files(chat.sender.id) == 0
    assert await rows("SELECT attempts FROM chat_inbox") == [(0,)]

    settings.TELEGRAM_WEBHOOK_SECRET = secret
    await take_files(chat.sender.id)
    assert await contents() == ["Look"]


async def test_what_nobody_took_for_a_day_is_given_up_with_a_sentence(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await rows("UPDATE chat_inbox SET created_at = created_at - interval '25 hours'")

    await take_files(chat.sender.id)
    await chat.deliver()

    assert (driver.shown(), await contents()) == ([TOO_LATE], [])
    assert driver.api.calls[0].method == "sendMessage", "nothing was fetched"


async def test_what_waits_is_not_tidied_away(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.document("a.md", 1, caption="Look"))
    await chat.post(driver.document("b.md", 2, caption="Look"))
    await rows("UPDATE chat_inbox SET created_at = created_at - interval '3 days'")
    await rows("UPDATE chat_inbox SET message = NULL WHERE id = (SELECT min(id) FROM chat_inbox)")

    await tidy()

    assert await rows("SELECT message->>'content' FROM chat_inbox") == [("Look",)]
