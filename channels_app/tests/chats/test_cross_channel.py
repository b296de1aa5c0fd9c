"""One answer in several channels. Source: DESIGN.md section 2: any tab, any replica; a turn is stopped from any channel."""

import asyncio
import json

import pytest

from agents.tests.engine import TestWorker
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.contract import Previewing
from channels_app.tests.chats.sending import deliver, new_sender
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.live import http_of, ready_client

pytestmark = pytest.mark.django_db(transaction=True)


async def in_telegram(gateway: str, text: str, number: int = 1) -> None:
    async with http_of(gateway) as http:
        answer = await http.post(
            "/webhook/telegram",
            content=json.dumps(update(text=text) | {"update_id": number}),
            headers={"X-Telegram-Bot-Api-Secret-Token": SECRET, "Content-Type": "application/json"},
        )
    assert answer.status_code == 200


async def test_an_answer_that_runs_in_telegram_is_watched_and_stopped_on_the_page(
    gateway: str, worker: TestWorker, bot_api: BotApi
) -> None:
    await link("demo-pro", 7)
    async with ready_client(gateway, "demo-pro") as client:
        await in_telegram(gateway, "Tell me a long story")
        asked = await client.until("user_message")
        turn = await worker.claim()
        assert turn is not None
        assert turn == asked["turn"]
        previewing, sender = Previewing(worker), await new_sender()
        await previewing.say(turn, "Once upon a time")
        token = await client.until("token")
        await previewing.look()
        await deliver(sender)
        assert bot_api.texts(7) == [token["content"]] == ["Once upon a time"]

        await in_telegram(gateway, "/status", number=2)
        await client.send("cancel", turn=turn)
        async with asyncio.timeout(60):
            while await rows(f"SELECT cancel_requested FROM turns WHERE id = '{turn}'") != [(True,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        # As the worker does that is notified of it.
        worker.runs[turn][0].cancel()
        await worker.done(turn)
        ended = await client.until("cancelled")
        await in_telegram(gateway, "/status", number=3)
        await deliver(sender)

    assert (ended["turn"], ended["content"]) == (turn, "Once upon a time")
    assert visible_text(bot_api.edited[1001]) == "Once upon a time\n\nStopped."
    before, after = bot_api.texts(7)[1:]
    assert "being answered" in before
    assert "asked in Telegram" in before
    assert "Answers being written: 0" in after


async def test_status_on_the_page_tells_of_what_telegram_asked(
    gateway: str, worker: TestWorker, bot_api: BotApi
) -> None:
    await link("demo-pro", 7)
    await in_telegram(gateway, "Tell me a long story")
    await worker.claim()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="/status")
        said = await client.until("done")

    assert "`Tell me a long story` – being answered for" in said["content"]
    assert "asked in Telegram" in said["content"]
