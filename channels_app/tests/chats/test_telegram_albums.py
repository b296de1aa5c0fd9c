"""Albums in Telegram's groups, where one piece's caption speaks for all. Source: Bot API, "Message", media_group_id."""

from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from channels_app.channels import Ignored, Inbound
from channels_app.channels.telegram import CHANNEL
from channels_app.inbound import DROPPED
from channels_app.inbox_desk import Desk
from channels_app.tests.chats.bot_api import CUT, HELD, TOKEN, Reply
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender, take_files
from channels_app.tests.chats.tables import SECRET, rows
from channels_app.tests.chats.test_files_in import NOTES
from channels_app.tests.chats.test_telegram_files import take
from channels_app.tests.chats.test_telegram_groups import GROUP, Driver, api, in_group, mention, post
from channels_app.tests.live import serving

pytestmark = pytest.mark.django_db(transaction=True)


def piece(number: int, caption: str = "", *, album: str = "m") -> dict[str, Any]:
    """A document of an album; a caption that names the bot addresses it."""
    name = f"{number}.md"
    said: dict[str, Any] = {"caption": caption} if caption else {}
    if "@DexBot" in caption:
        said["caption_entities"] = mention(caption)
    document = {"file_id": name, "file_unique_id": "u", "file_name": name}
    return in_group(None, message_id=70 + number, media_group_id=album, document=document, **said)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        settings.TELEGRAM_BOT_USERNAME = "DexBot"
        made.api.files |= {f"{number}.md": NOTES for number in range(1, 5)}
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", "7")
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


async def found() -> list[tuple[Any, ...]]:
    return await rows(
        "SELECT t.content, u.name FROM turns t JOIN uploads u ON u.turn_id = t.id ORDER BY t.accepted_at, u.place"
    )


ALBUM = {1: "@DexBot compare", 2: "", 3: ""}


@pytest.mark.parametrize("order", [*permutations([1, 2, 3])])
async def test_the_pieces_belong_to_the_one_that_names_the_bot_in_whatever_order_they_come(
    chat: Chat, order: tuple[int, ...]
) -> None:
    for number in order:
        await post(chat, piece(number, ALBUM[number]), number=number)
    await post(chat, piece(order[0], ALBUM[order[0]]), number=order[0])
    await take(chat)

    assert await found() == [("compare", "1.md"), ("compare", "2.md"), ("compare", "3.md")]
    [(reply_to, conversations)] = await rows("SELECT reply_to, (SELECT count(*) FROM chat_threads) FROM turns")
    assert (reply_to["chat"], reply_to["user"], conversations) == (GROUP, 7, 1)


async def test_words_of_the_other_pieces_come_below(chat: Chat) -> None:
    await post(chat, piece(1, "/status"), number=1)
    await post(chat, piece(2, "@DexBot compare"), number=2)
    await post(chat, piece(3, "and the third"), number=3)
    await take(chat)

    assert [content for content, _ in await found()] == ["compare\n\n/status\n\nand the third"] * 3


async def test_an_album_that_names_nobody_is_forgotten_and_never_fetched(chat: Chat) -> None:
    await post(chat, piece(1, "for you, Ben"), number=1)
    await post(chat, piece(2), number=2)
    assert await take_files(chat.sender.id) == 0, "another piece may name the bot"
    await take(chat)
    await chat.deliver()

    assert await rows("SELECT message, taken FROM chat_inbox") == [(None, None)] * 2
    assert api(chat).calls == []
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


@pytest.mark.parametrize("late", ["attempts = 9", "created_at = created_at - interval '2 days'"])
async def test_of_an_album_that_names_nobody_nothing_is_said_however_late_it_is(chat: Chat, late: str) -> None:
    await post(chat, piece(1, "for you, Ben"), number=1)
    await rows(f"UPDATE chat_inbox SET {late}")
    await take(chat)
    await chat.deliver()

    assert await rows("SELECT message FROM chat_inbox") == [(None,)]
    assert api(chat).calls == []


async def test_albums_are_not_mixed(chat: Chat) -> None:
    await post(chat, piece(1, "@DexBot compare"), number=1)
    await post(chat, piece(2, album="other"), number=2)
    elsewhere = piece(3)
    elsewhere["message"]["chat"] = {"id": -6, "type": "group"}
    await post(chat, elsewhere, number=3)
    await take(chat)

    assert await found() == [("compare", "1.md")]


async def test_a_piece_that_comes_late_is_a_message_of_its_own(chat: Chat) -> None:
    await post(chat, piece(1, "@DexBot compare"), number=1)
    await take(chat)
    await post(chat, piece(2), number=2)
    await take(chat)

    assert await found() == [("compare", "1.md"), ("Here is 2.md.", "2.md")]


@pytest.mark.parametrize("reply", [CUT, HELD])
async def test_a_piece_that_comes_once_the_others_were_begun_with_is_a_message_of_its_own(
    chat: Chat, reply: Reply
) -> None:
    """Whoever fetches them has read the row."""
    await post(chat, piece(1, "@DexBot compare"), number=1)
    await rows("UPDATE chat_inbox SET run_after = clock_timestamp()")
    api(chat).script.append(reply)
    desk = Desk(chat.sender.id)
    assert await desk.begin() == 1
    await api(chat).until(lambda bot: len(bot.calls) == 1)
    if reply is CUT:
        await desk.rest()
    await post(chat, piece(2), number=2)
    api(chat).released.set()
    await desk.rest()
    await take(chat)

    assert await found() == [("compare", "1.md"), ("Here is 2.md.", "2.md")]


async def test_a_piece_that_comes_after_a_process_ended_amid_the_others_is_a_message_of_its_own(chat: Chat) -> None:
    """What became of their files is kept by the files' places."""
    await post(chat, piece(2, "@DexBot compare"), number=2)
    await rows("""UPDATE chat_inbox SET taken = '{"0": ["refused", "No."]}'""")
    await post(chat, piece(1), number=1)
    await take(chat)

    assert await rows("SELECT content FROM turns ORDER BY id") == [("compare",), ("Here is 1.md.",)]


async def test_a_piece_of_another_user_speaks_for_none_of_ones_own(chat: Chat) -> None:
    await link_account("demo-free", "telegram", "8")
    await post(chat, piece(1, "for you, Ben"), number=1)
    await post(chat, piece(2, "@DexBot compare"), number=2, sender=8)
    await take(chat)

    assert await found() == [("compare", "2.md")]


async def stop_in_the_group(chat: Chat) -> list[str]:
    """What the author of an album is told in private when they stop; that nothing runs is said in the group."""
    stop = in_group("/stop@DexBot", entities=mention("/stop@DexBot", "/stop@DexBot", "bot_command"))
    await post(chat, stop, number=9)
    assert await rows("SELECT count(*) FROM chat_inbox WHERE message IS NOT NULL") == [(0,)]
    await chat.deliver()
    return api(chat).texts(7)


async def test_of_pieces_that_nobody_said_to_us_stop_tells_nothing(chat: Chat) -> None:
    await post(chat, piece(1, "for you, Ben"), number=1)

    assert await stop_in_the_group(chat) == []


async def test_stop_drops_an_album_whose_first_piece_named_nobody_with_a_word(chat: Chat) -> None:
    await post(chat, piece(1), number=1)
    await post(chat, piece(2, "@DexBot compare"), number=2)

    assert await stop_in_the_group(chat) == [DROPPED]


async def test_of_an_account_that_is_linked_to_nobody_nothing_is_kept(chat: Chat) -> None:
    await post(chat, piece(2), number=2, sender=9)
    await chat.deliver()

    assert await rows("SELECT count(*) FROM chat_inbox") == [(0,)]
    assert api(chat).calls == []


async def test_a_command_in_a_caption_takes_no_files_and_is_answered_in_private(chat: Chat) -> None:
    command = piece(2, "/status@DexBot")
    command["message"]["caption_entities"] = mention("/status@DexBot", "/status@DexBot", "bot_command")
    await post(chat, piece(1), number=1)
    await post(chat, command, number=2)
    await take(chat)
    await chat.deliver()

    assert api(chat).texts(7) == ["A command takes no files. Send them with a message."]
    assert api(chat).texts(GROUP) == []


def test_what_is_no_file_or_no_album_is_none_of_ours(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    settings.TELEGRAM_BOT_USERNAME = "DexBot"
    video = in_group(None, media_group_id="m", video={"file_id": "v"})
    alone = piece(1)
    del alone["message"]["media_group_id"]

    assert (CHANNEL.parse(video), CHANNEL.parse(alone)) == (Ignored("group"), Ignored("group"))
    loose = CHANNEL.parse(piece(1, "for you"))
    assert isinstance(loose, Inbound)
    assert (loose.loose, loose.content, loose.album) == (True, "for you", f"{GROUP}:m")
