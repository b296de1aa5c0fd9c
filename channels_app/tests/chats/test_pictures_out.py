"""Charts and pictures of answers in Telegram. Source: Bot API, sendPhoto; DESIGN section 3, `image`."""

from dataclasses import replace
from typing import Any

import pytest

from agents.events import Image
from agents.harness_types import Answer, Emit, TurnRequest
from agents.outbox import OutboxRow, put
from agents.tests.engine import ScriptedBrain, TestWorker, say
from channels_app.channels import discord
from channels_app.deliveries.intake import take_outbox
from channels_app.tests.chats.bot_api import BotApi, refusal
from channels_app.tests.chats.sending import Sender, answer, deliver, let_all_be_due, new_sender, states
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_files_in import PNG
from channels_app.tests.doubles.discord import DiscordDriver, snowflake
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.usefixtures("linked")


@pytest.fixture
async def sender(pool: None, bot_api: BotApi) -> Sender:
    return await new_sender()


class Drawing(ScriptedBrain):
    """Draws one picture, and says that it did."""

    async def run(self, request: TurnRequest, emit: Emit) -> Answer:
        url = await request.keep_picture(PNG)
        await emit(Image(url, "Equity of golden-cross"))
        return Answer(content="See the chart.", model="demo/demo", messages=[])


async def test_a_chart_comes_as_a_photo_after_the_words(sender: Sender, bot_api: BotApi) -> None:
    await link("demo-pro", 1)
    await say("Draw", channel="telegram")
    worker = await TestWorker(Drawing()).begin()
    turn = await worker.claim()
    assert turn is not None
    await worker.done(turn)

    await deliver(sender)

    assert bot_api.texts(1) == ["See the chart.", "Equity of golden-cross"]
    assert bot_api.pictures == [PNG]
    assert [call.method for call in bot_api.calls] == ["sendMessage", "sendPhoto"]
    assert set(await states()) == {"sent"}


def images(*urls: str) -> list[dict[str, str]]:
    return [{"url": url, "alt": "A chart"} for url in urls]


@pytest.fixture
async def picture(linked: None, pool: None) -> str:
    """One of chat 7's user."""
    return await kept_picture()


async def kept_picture() -> str:
    """The address of a picture of demo-pro's."""
    await say("Draw")
    await rows(
        "INSERT INTO pictures (id, turn_id, user_id, media_type, content, kept_until) SELECT id, id, user_id, 'image/png',"
        f" '\\x{PNG.hex()}', clock_timestamp() + interval '1 day' FROM turns"
    )
    [(turn,)] = await rows("SELECT id::text FROM turns")
    return f"/api/v1/pictures/{turn}"


async def test_what_telegram_makes_no_photo_of_comes_as_a_file(sender: Sender, bot_api: BotApi, picture: str) -> None:
    await answer("See:", images=images(picture))
    await take_outbox()
    await sender.send_next()
    await let_all_be_due()
    bot_api.script.append(refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"))

    await sender.send_next()

    assert [call.method for call in bot_api.calls] == ["sendMessage", "sendPhoto", "sendDocument"]
    assert bot_api.pictures[-1] == PNG


@pytest.mark.parametrize(
    "url",
    [
        "/api/v1/pictures/00000000-0000-7000-8000-000000000000", "/api/v1/backtests/x/chart.png", "https://evil.example/a.png",
        "file:///etc/passwd", "/api/v1/../pictures/x",
    ],
)  # fmt: skip
async def test_a_picture_that_is_gone_is_said_to_be_and_nothing_else_is_fetched(
    sender: Sender, bot_api: BotApi, url: str
) -> None:
    await answer("See:", images=images(url))

    await deliver(sender)

    assert bot_api.texts(7) == ["See:", "A picture of this answer could not be read. The web page may still have it."]
    assert bot_api.pictures == []


async def test_a_picture_of_another_user_is_not_sent(sender: Sender, bot_api: BotApi, picture: str) -> None:
    await rows("UPDATE pictures SET user_id = 'demo-free'")
    await answer("See:", images=images(picture))

    await deliver(sender)

    assert bot_api.pictures == []


async def test_pictures_alone_come_with_a_word(sender: Sender, bot_api: BotApi, picture: str) -> None:
    await answer("", images=images(picture))

    await deliver(sender)

    assert bot_api.texts(7) == ["I have drawn this.", "A chart"]


@pytest.mark.parametrize("alt", ["", "x" * 5000, "😀" * 2000])
async def test_any_caption_fits(sender: Sender, bot_api: BotApi, picture: str, alt: str) -> None:
    found: Any = [{"url": picture, "alt": alt}]
    await answer("See:", images=found)

    await deliver(sender)

    assert len(bot_api.texts(7)[1].encode("utf-16-le")) // 2 <= 1024
    assert bot_api.pictures == [PNG]


@pytest.mark.parametrize("place", ["direct", "interaction", "guild", "over"])
async def test_discord_shows_a_picture_below_the_answer(settings: Any, place: str) -> None:
    """Source: discord.com/developers, "Uploading Files"."""
    driver = DiscordDriver()
    number = snowflake(age_s=3600 if place == "over" else 0)
    asked = {"user": "7", "channel": "5", "interaction": number, "token": f"t.7.{number}", "guild": place == "guild"}
    async with driver.on(settings):
        part = discord.CHANNEL.picture("/api/v1/pictures/x", "Equity of *golden-cross*")
        assert part is not None
        target = driver.target() if place == "direct" else asked
        await discord.CHANNEL.send_picture(part, target, content=PNG)

        assert driver.peer.pictures == [PNG]
        [shown] = driver.peer.shown.values()
    assert (shown.chat, shown.text, shown.hidden) == ("97", "Equity of \\*golden-cross\\*", place == "guild")


async def test_where_no_pictures_are_shown_they_are_named(sender: Sender, picture: str) -> None:
    row = OutboxRow(new_id(), None, "demo-pro", "webhook", {"account": "ada", "thread": "", "reply_to": ""}, "done", {})
    payload = {"content": "See:", "images": images(picture)}
    async with connection() as conn, conn.transaction():
        await put(conn, replace(row, payload=payload))
    await take_outbox()

    assert await rows("SELECT body->>'text' FROM deliveries") == [("See:\n\n🖼 A chart – it is shown on the web page.",)]
