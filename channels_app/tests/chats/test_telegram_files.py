"""Files that people send in Telegram. Source: Bot API, "Message", getFile; docs/operations.md, Chat apps."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.uploads import MOST_BYTES
from channels_app.channels import File
from channels_app.channels._telegram.attached import files_of
from channels_app.channels.telegram import CHANNEL
from channels_app.errors import DeliveryError, TooLarge
from channels_app.tests.chats.bot_api import CUT, TOKEN, Reply, refusal
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender, take_files
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_files_in import NOTES, PNG, turns
from channels_app.tests.doubles.driver import Post
from channels_app.tests.doubles.telegram import TelegramDriver
from channels_app.tests.live import serving

pytestmark = pytest.mark.django_db(transaction=True)


class Driver(TelegramDriver):
    def sent(self, number: int = 1, *, caption: str | None = None, **media: Any) -> Post:
        """A message with something else than text."""
        message = json.loads(self.message("x", number=number).body)["message"]
        del message["text"]
        message |= {"message_id": 70 + number} | media | ({"caption": caption} if caption else {})
        return self.signed(json.dumps({"update_id": number, "message": message}).encode())

    def document(self, name: str, number: int = 1, **more: Any) -> Post:
        return self.sent(number, document={"file_id": name, "file_unique_id": "u", "file_name": name}, **more)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


async def take(chat: Chat) -> None:
    """Time passes, and files are fetched."""
    await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")
    await take_files(chat.sender.id)


async def test_a_document_with_a_caption_is_a_message_with_a_file(chat: Chat, driver: Driver) -> None:
    driver.api.files["notes.md"] = NOTES
    for _ in range(3):
        assert (await chat.post(driver.document("notes.md", caption="Read this"))).status_code == 200
    assert driver.calls == 0

    await take(chat)

    assert await turns() == [("Read this", "notes.md", "text", len(NOTES))]
    assert [call.method or "download" for call in driver.api.calls] == ["getFile", "download"]


async def test_of_a_photo_the_largest_size_that_we_take_is_fetched(chat: Chat, driver: Driver) -> None:
    driver.api.files["large"] = PNG
    sizes = [("small", 900), ("large", MOST_BYTES), ("huge", MOST_BYTES + 1)]
    photo = [
        {"file_id": name, "file_unique_id": "u", "width": 1, "height": 1, "file_size": size} for name, size in sizes
    ]
    await chat.post(driver.sent(photo=photo))

    await take(chat)

    assert await turns() == [("Here is photo-71.jpg.", "photo-71.jpg", "picture", len(PNG))]


@pytest.mark.parametrize("sizes", [(None, None, None), (900, None, None), (900, None, MOST_BYTES + 1)])
def test_of_a_photo_whose_sizes_are_not_all_told_the_last_one_that_may_fit_is_taken(
    sizes: tuple[int | None, ...],
) -> None:
    """Source: Bot API, "PhotoSize": `file_size` is optional."""
    photo = [
        {"file_id": name} | ({"file_size": size} if size else {})
        for name, size in zip(("thumbnail", "middle", "large"), sizes, strict=True)
    ]

    [file] = files_of({"message_id": 1, "photo": photo})

    assert file.place == ("middle" if sizes[-1] else "large")


async def test_an_album_is_one_message_whatever_order_its_pieces_come_in(chat: Chat, driver: Driver) -> None:
    for name in ("a.md", "b.md", "c.md"):
        driver.api.files[name] = NOTES
    pieces = [
        driver.document("b.md", 2, media_group_id="m1"),
        driver.document("c.md", 3, media_group_id="m1"),
        driver.document("a.md", 1, media_group_id="m1", caption="Compare them"),
    ]
    for piece in [*pieces, pieces[1]]:
        assert (await chat.post(piece)).status_code == 200
    assert await take_files(chat.sender.id) == 0, "it may not be whole yet"

    await take(chat)
    await take(chat)

    found = await rows(
        "SELECT t.content, u.name FROM turns t JOIN uploads u ON u.turn_id = t.id ORDER BY t.accepted_at, u.place"
    )
    assert found == [("Compare them", "a.md"), ("Compare them", "b.md"), ("Compare them", "c.md")]
    assert await rows("SELECT count(*) FROM turns") == [(1,)]


async def test_a_piece_that_comes_late_is_a_message_of_its_own(chat: Chat, driver: Driver) -> None:
    driver.api.files |= {"a.md": NOTES, "b.md": NOTES}
    await chat.post(driver.document("a.md", 1, media_group_id="m1", caption="Compare"))
    await take(chat)
    await chat.post(driver.document("b.md", 2, media_group_id="m1"))
    await take(chat)

    assert [content for content, *_ in await turns()] == ["Compare", "Here is b.md."]


@pytest.mark.parametrize(
    ("media", "words"),
    [
        ({"sticker": {"file_id": "s"}}, "stickers"),
        ({"video": {"file_id": "v"}, "caption": "Look"}, "videos"),
        ({"location": {"latitude": 1, "longitude": 2}}, "locations"),
        ({"animation": {"file_id": "a"}, "document": {"file_id": "a"}}, "animations"),
        ({"poll": {"id": "p"}}, "polls"),
        ({"photo": []}, "such pictures"),
        ({"document": {"file_id": 5}}, "such files"),
    ],
)
async def test_what_can_not_be_read_is_answered_in_a_sentence(
    chat: Chat, driver: Driver, media: dict[str, Any], words: str
) -> None:
    assert (await chat.post(driver.sent(**media))).status_code == 200
    await chat.deliver()

    assert driver.shown() == [f"I can't read {words}. I can read text, pictures (PNG, JPEG, WebP), PDF and text files."]
    assert await turns() == []


@pytest.mark.parametrize(("size", "reason"), [(MOST_BYTES + 1, "at most 3,000,000 bytes"), (20_000_001, "at most")])
async def test_a_file_that_is_too_large_is_named(chat: Chat, driver: Driver, size: int, reason: str) -> None:
    driver.api.files["big.csv"] = b"x" * size
    await chat.post(driver.document("big.csv"))

    await take(chat)
    await chat.deliver()

    [told] = driver.shown()
    assert told.startswith("I could not take big.csv")
    assert reason in told
    assert "" not in [call.method for call in driver.api.calls], "it was not downloaded"


@pytest.mark.parametrize(
    "reply",
    [refusal(404, "Not Found"), Reply(404, b"no"), Reply(500, b"<html>"), Reply(302, b""), CUT, refusal(429, "x")],
)
async def test_no_failure_of_a_download_tells_the_token(
    driver: Driver, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    driver.api.files["a"] = NOTES
    driver.api.script.extend([Reply(), reply])
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryError) as raised:
        await CHANNEL.fetch(File("a", "a"), most_bytes=100)

    assert [call.token for call in driver.api.calls] == [TOKEN, TOKEN]
    told = repr(raised.value) + repr(raised.value.__cause__) + caplog.text
    assert TOKEN not in told


async def test_a_download_is_cut_where_it_is_larger_than_telegram_said(driver: Driver) -> None:
    driver.api.files["a"] = b"x" * 50
    driver.api.script.extend([Reply(), Reply(200, b"x" * 1000)])

    with pytest.raises(TooLarge):
        await CHANNEL.fetch(File("a", "a"), most_bytes=100)


async def test_a_path_of_the_servers_own_disk_is_not_read(driver: Driver) -> None:
    """Source: Bot API, local mode: `file_path` is absolute there."""
    result = {"file_id": "a", "file_unique_id": "u", "file_path": "/etc/passwd"}
    driver.api.script.append(Reply(200, json.dumps({"ok": True, "result": result}).encode()))

    with pytest.raises(DeliveryError, match="no_file_path"):
        await CHANNEL.fetch(File("a", "a"), most_bytes=100)
    assert len(driver.api.calls) == 1
