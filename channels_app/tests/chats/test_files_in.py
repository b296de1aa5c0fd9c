"""Files that people send in a chat. Source: docs/operations.md, Chat apps: after the acknowledgement, capped in size."""

import json
import logging
import mimetypes
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.uploads import MOST_BYTES
from channels_app import warmup
from channels_app.channels import File
from channels_app.errors import DeliveryError
from channels_app.files_in import UNLINKED
from channels_app.inbound import DROPPED, DROPPED_ALL
from channels_app.tests.chats.contract import Chat, codes, link_account
from channels_app.tests.chats.sending import new_sender, take_files
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.discord import DiscordDriver, interaction, snowflake
from channels_app.tests.doubles.driver import Post
from channels_app.tests.doubles.peer import CUT, Reply
from channels_app.tests.doubles.slack import SlackDriver, event
from channels_app.tests.live import serving

PNG = (
    b"\x89PNG\r\n\x1a\n"
    + b"\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    + b"\0" * 40
)
NOTES = b"# Notes\n\nBuy low."

pytestmark = pytest.mark.django_db(transaction=True)


def kind_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


class Slack(SlackDriver):
    def with_files(self, text: str | None, *names: str, number: int = 1) -> Post:
        files = [
            {"name": name, "url_private": f"{self.peer.url}/files/{name}", "mimetype": kind_of(name)} for name in names
        ]
        posted = event(
            text, subtype="file_share", files=files, event_id=f"Ev{number}", ts=f"17000000{number:02}.000100"
        )
        return self.signed(json.dumps(posted).encode())

    def has(self, name: str, content: bytes) -> None:
        self.peer.files[f"/files/{name}"] = content


class Discord(DiscordDriver):
    number = snowflake()

    def with_files(self, text: str | None, *names: str, number: int = 0) -> Post:
        files = {
            str(100 + index): {
                "id": str(100 + index),
                "filename": name,
                "url": f"{self.peer.url}/attachments/{name}",
                "content_type": kind_of(name),
            }
            for index, name in enumerate(names)
        }
        options: list[dict[str, Any]] = [{"name": "text", "type": 3, "value": text}] if text else []
        options += [{"name": "file", "type": 11, "value": key} for key in files]
        data = {"name": "ask", "type": 1, "options": options, "resolved": {"attachments": files}}
        return self.signed(json.dumps(interaction(id=snowflake(number) if number else self.number, data=data)).encode())

    def has(self, name: str, content: bytes) -> None:
        self.peer.files[f"/attachments/{name}"] = content


@pytest.fixture(params=[Slack, Discord])
async def driver(request: pytest.FixtureRequest, settings: Any) -> AsyncIterator[Slack | Discord]:
    made: Slack | Discord = request.param()
    async with made.on(settings):
        yield made


@pytest.fixture
async def chat(driver: Slack | Discord, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", driver.channel.name, driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


async def turns() -> list[tuple[Any, ...]]:
    return await rows(
        "SELECT t.content, u.name, u.kind, u.size FROM turns t LEFT JOIN uploads u ON u.turn_id = t.id"
        " ORDER BY t.accepted_at, u.place"
    )


async def test_a_message_with_files_is_acknowledged_at_once_and_answered_with_them(
    chat: Chat, driver: Slack | Discord
) -> None:
    driver.has("chart.png", PNG)
    driver.has("notes.md", NOTES)
    post = driver.with_files("What is this?", "chart.png", "notes.md")

    assert codes([await chat.post(post) for _ in range(3)]) == [200] * 3
    assert driver.calls == 0
    assert await take_files(chat.sender.id) == 1
    assert await take_files(chat.sender.id) == 0

    assert await turns() == [
        ("What is this?", "chart.png", "picture", len(PNG)),
        ("What is this?", "notes.md", "text", len(NOTES)),
    ]
    assert await rows("SELECT message FROM chat_inbox") == [(None,)]


async def test_the_workspace_begins_while_the_files_are_fetched(
    chat: Chat, driver: Slack | Discord, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a server outside the allowlist, so that the beginning is seen to fail; no worker fetches anything."""
    await rows("UPDATE user_licenses SET mcp_server_url = 'http://127.0.0.1:9/elsewhere'")
    with caplog.at_level(logging.WARNING):
        await chat.post(driver.with_files("Look", "notes.md"))
        await warmup.finished()

    assert caplog.text.count("workspace_not_started") == 1


async def test_what_can_not_be_taken_is_named_and_the_rest_is_answered(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("big.png", PNG + b"\0" * MOST_BYTES)
    driver.has("tool.exe", b"MZ\x90\0\x03\0\0\0")
    driver.has("notes.md", NOTES)
    await chat.post(driver.with_files("Look", "big.png", "tool.exe", "gone.md", "notes.md"))

    await take_files(chat.sender.id)
    await chat.deliver()

    assert await turns() == [("Look", "notes.md", "text", len(NOTES))]
    [told] = [text for text in driver.shown() if text]
    for name in ("big.png", "tool.exe", "gone.md"):
        assert f"I could not take {name}" in told.replace("\\", "")
    assert "at most 3,000,000 bytes" in told


async def test_a_file_alone_is_a_message_too(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("notes.md", NOTES)
    await chat.post(driver.with_files(None, "notes.md"))

    await take_files(chat.sender.id)

    assert await turns() == [("Here is notes.md.", "notes.md", "text", len(NOTES))]


async def test_what_is_written_after_files_comes_after_them(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("notes.md", NOTES)
    driver.cut()
    await chat.post(driver.with_files("Look", "notes.md"))
    await take_files(chat.sender.id)
    await chat.write("And now?", number=2)
    assert await take_files(chat.sender.id) == 0
    await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")
    await take_files(chat.sender.id)

    assert await rows("SELECT content FROM turns ORDER BY id") == [("Look",), ("And now?",)]


async def test_a_file_that_is_away_for_a_moment_is_fetched_later(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("notes.md", NOTES)
    driver.cut()
    await chat.post(driver.with_files("Look", "notes.md"))

    await take_files(chat.sender.id)
    assert await turns() == []
    assert await take_files(chat.sender.id) == 0
    await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")
    await take_files(chat.sender.id)

    assert await turns() == [("Look", "notes.md", "text", len(NOTES))]


async def test_a_file_that_stays_away_is_given_up_after_three_attempts(chat: Chat, driver: Slack | Discord) -> None:
    driver.peer.script.extend([CUT, Reply(503, {}), CUT])
    await chat.post(driver.with_files("Look", "notes.md"))
    for _ in range(3):
        await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")
        await take_files(chat.sender.id)
    await chat.deliver()

    assert await turns() == [("Look", None, None, None)]
    assert any("could not be fetched" in text for text in driver.shown())


async def test_a_killed_process_leaves_its_message_to_another(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("notes.md", NOTES)
    await chat.post(driver.with_files("Look", "notes.md"))
    await rows(f"UPDATE chat_inbox SET holder = '{chat.sender.id}', attempts = 1")
    other = await new_sender()
    assert await take_files(other.id) == 0

    await chat.sender.die()
    await take_files(other.id)

    assert await turns() == [("Look", "notes.md", "text", len(NOTES))]


async def test_an_account_that_was_unlinked_meanwhile_says_nothing_and_waits_for_nothing(
    chat: Chat, driver: Slack | Discord
) -> None:
    driver.has("notes.md", NOTES)
    await chat.post(driver.with_files("Look", "notes.md"))
    await rows("DELETE FROM user_channel_links")

    await take_files(chat.sender.id)

    assert await turns() == []
    assert driver.calls == 0
    await chat.deliver()
    assert driver.shown() == ([] if isinstance(driver, Slack) else [UNLINKED])


async def post_two(chat: Chat, driver: Slack | Discord) -> None:
    driver.has("notes.md", NOTES)
    for number in range(2):
        await chat.post(driver.with_files("Look", "notes.md", number=10 + number))


async def test_what_stop_drops_is_told_in_one_sentence_but_where_each_message_waits_for_its_own(
    chat: Chat, driver: Slack | Discord
) -> None:
    """Source: discord.com/developers, "Receiving and Responding": who asked sees that the app thinks, until it answers."""
    await post_two(chat, driver)
    await chat.write("/stop", number=3)

    said = [text for (text,) in await rows("SELECT COALESCE(body->>'text', body->>'content') FROM deliveries")]
    assert said == (
        [DROPPED_ALL.format(number=2).replace("/stop", "!stop")] if isinstance(driver, Slack) else [DROPPED] * 2
    )


async def test_a_limit_is_told_once_but_where_each_message_waits_for_its_word(
    chat: Chat, driver: Slack | Discord
) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 0}'""")
    await post_two(chat, driver)
    await take_files(chat.sender.id)

    assert await rows("SELECT count(*) FROM deliveries") == [(1 if isinstance(driver, Slack) else 2,)]


async def test_what_is_spoken_is_named_as_not_taken_beside_what_is_written(chat: Chat, driver: Slack | Discord) -> None:
    """Here there is no model that hears."""
    driver.has("notes.md", NOTES)
    driver.has("song.mp3", b"ID3")
    await chat.post(driver.with_files("Summarise the notes", "notes.md", "song.mp3"))

    await take_files(chat.sender.id)
    await chat.deliver()

    assert await turns() == [("Summarise the notes", "notes.md", "text", len(NOTES))]
    assert [text.replace("\\", "") for text in driver.shown() if text] == [
        "I could not take song.mp3: I can't listen here."
    ]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/a", "http://files.slack.com/a", "https://files.slack.com.evil.example/a", "file:///etc/passwd",
        "https://files.slack.com@evil.example/a", "https://cdn.discordapp.com:8443/a", "http://127.0.0.1:5432/", "", "//",
    ],
)  # fmt: skip
async def test_an_address_of_another_is_never_called(driver: Slack | Discord, address: str) -> None:
    """The bot's token would go there."""
    with pytest.raises(DeliveryError) as raised:
        await driver.channel.fetch(File("x", address), most_bytes=10)

    assert (raised.value.cause, raised.value.permanent) == ("address_of_another", True)
    assert driver.calls == 0
