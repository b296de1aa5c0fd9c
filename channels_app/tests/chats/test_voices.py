"""Voices that people send. Source: docs/operations.md, Voice messages; Bot API, "Voice"; OpenAI, "Create transcription"."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.transcription import MOST_ANSWER_BYTES, faults
from channels_app.tests.chats.bot_api import CUT, Reply
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_files_in import turns
from channels_app.tests.chats.test_telegram_files import Driver, take
from channels_app.tests.doubles.peer import Reply as Answered
from channels_app.tests.doubles.transcriber import Transcriber, transcribing
from channels_app.tests.live import PATIENCE_S, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        made.api.files["v"] = b"OggS"
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


VOICE = {"file_id": "v", "file_unique_id": "u", "duration": 3, "mime_type": "audio/ogg", "file_size": 9}


@pytest.fixture
async def transcriber(settings: Any) -> AsyncIterator[Transcriber]:
    async with transcribing() as peer:
        settings.TRANSCRIPTION_MODEL = "whisper-1"
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "only-for-tests", f"{peer.url}/v1"
        yield peer


@pytest.mark.parametrize("hears", [True, False])
async def test_who_sends_what_can_not_be_read_is_told_of_voices_where_they_are_heard(
    chat: Chat, driver: Driver, transcriber: Transcriber, settings: Any, hears: bool
) -> None:
    settings.TRANSCRIPTION_MODEL = "whisper-1" if hears else ""
    await chat.post(driver.sent(sticker={"file_id": "s"}))
    await chat.deliver()

    [told] = driver.shown()
    assert told.endswith("PDF and text files. I can listen to voice messages, too.") is hears
    assert "I can read text, pictures" in told


async def test_a_voice_without_a_model_that_hears_is_answered_so(chat: Chat, driver: Driver) -> None:
    await chat.post(driver.sent(voice=VOICE))
    await chat.deliver()

    assert driver.shown() == ["I can't listen to voice messages here. Write to me instead."]
    assert await rows("SELECT count(*) FROM chat_inbox") == [(0,)]


async def test_a_voice_is_a_message_whose_words_are_shown(chat: Chat, driver: Driver, transcriber: Transcriber) -> None:
    driver.api.files["v"] = b"OggS....."
    await chat.post(driver.sent(voice=VOICE))

    await take(chat)
    await chat.deliver()

    assert [content for content, *_ in await turns()] == ["What is the RSI of SPX?"]
    assert driver.shown() == ["What is the RSI of SPX?"]
    [said] = [call for call in driver.api.calls if call.method == "sendMessage"]
    assert said.parameters["text"].startswith("<blockquote>")
    [asked] = transcriber.calls
    assert b"whisper-1" in asked.raw
    assert b"OggS....." in asked.raw
    assert b'filename="voice-71.ogg"' in asked.raw


async def test_nothing_that_is_heard_is_a_command(chat: Chat, driver: Driver, transcriber: Transcriber) -> None:
    transcriber.words = "/ /stop the music"
    driver.api.files["v"] = b"OggS"
    await chat.post(driver.sent(voice=VOICE))

    await take(chat)

    assert [content for content, *_ in await turns()] == ["stop the music"]
    assert await rows("SELECT state FROM turns") == [("queued",)]


@pytest.mark.parametrize(
    ("answer", "told", "tries"),
    [
        (Answered(500, {}), "I can't listen just now", 3),
        (Answered(429, {}), "I can't listen just now", 3),
        (Answered(400, {"error": {"message": "secret"}}), "I could not make that out", 1),
        (Answered(200, {"text": 5}), "I could not make that out", 1),
        (Answered(200, {"text": " "}), "I hear no words", 1),
        (Answered(cut=True), "I can't listen just now", 3),
    ],
)
async def test_a_voice_that_is_not_understood_is_told_so(
    chat: Chat, driver: Driver, transcriber: Transcriber, answer: Answered, told: str, tries: int
) -> None:
    driver.api.files["v"] = b"OggS"
    transcriber.script.extend([answer] * tries)
    await chat.post(driver.sent(voice=VOICE))
    for _ in range(3):
        await take(chat)
    await chat.deliver()

    [sentence] = driver.shown()
    assert told in sentence
    assert "secret" not in sentence
    assert len(transcriber.calls) == tries
    assert await turns() == []


async def test_at_a_limit_nothing_is_paid_to_a_model_that_hears(
    chat: Chat, driver: Driver, transcriber: Transcriber
) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 0}'""")
    driver.api.files["v"] = b"OggS"
    await chat.post(driver.sent(voice=VOICE))
    await take(chat)
    await chat.deliver()

    assert transcriber.calls == []
    assert "messages" in driver.shown()[0]
    assert await rows("SELECT count(*) FROM accepted_messages") == [(0,)]


def test_a_model_that_hears_needs_its_provider(settings: Any) -> None:
    settings.TRANSCRIPTION_MODEL, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "whisper-1", "", ""

    assert faults() == ["TRANSCRIPTION_MODEL needs OPENAI_API_KEY or OPENAI_BASE_URL."]


async def counted() -> int:
    [(number,)] = await rows("SELECT count(*) FROM accepted_messages")
    return int(number)


async def test_a_voice_counts_as_one_message(chat: Chat, driver: Driver, transcriber: Transcriber) -> None:
    await chat.post(driver.sent(voice=VOICE))
    await take(chat)

    assert await counted() == 1


@pytest.mark.parametrize("answer", [Answered(200, {"text": " "}), Answered(400, {})])
async def test_silence_counts_too_so_that_hearing_it_has_a_limit(
    chat: Chat, driver: Driver, transcriber: Transcriber, answer: Answered
) -> None:
    await rows("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": 3}'""")
    transcriber.script.extend([answer] * 10)
    for number in range(1, 11):
        await chat.post(driver.sent(number, voice=VOICE))
    await take(chat)
    await chat.deliver()

    assert (len(transcriber.calls), await counted()) == (3, 3)
    assert len(driver.shown()) == 4, "of the limit it is told once"
    assert "messages" in driver.shown()[-1]
    assert await turns() == []


@pytest.mark.parametrize(
    ("model", "said", "booked"),
    [
        ("whisper-1", {"type": "duration", "seconds": 30}, (0, 0, Decimal("0.003"))),
        ("gpt-4o-transcribe", {"type": "tokens", "input_tokens": 500, "output_tokens": 20, "total_tokens": 520},
         (500, 20, Decimal("0.00145"))),
        ("a-server-of-ones-own", {"input_tokens": 500, "output_tokens": 20}, (500, 20, Decimal(0))),
        ("whisper-1", None, (0, 6, Decimal(0))),
        ("whisper-1", {"seconds": -1}, (0, 6, Decimal(0))),
        ("whisper-1", {"seconds": "NaN", "input_tokens": 10**30}, (0, 6, Decimal(0))),
        ("whisper-1", "much", (0, 6, Decimal(0))),
    ],
)  # fmt: skip
async def test_what_hearing_cost_is_in_the_usage_and_the_budget(
    chat: Chat, driver: Driver, transcriber: Transcriber, settings: Any, model: str, said: Any, booked: tuple[Any, ...]
) -> None:
    settings.TRANSCRIPTION_MODEL = model
    transcriber.usage = said
    await chat.post(driver.sent(voice=VOICE))
    await take(chat)

    assert await rows("SELECT model, channel, input_tokens, output_tokens, cost_usd FROM usage") == [
        (f"openai/{model}", "telegram", *booked)
    ]
    assert await rows("SELECT tokens_used, cost_used FROM budgets") == [(booked[0] + booked[1], booked[2])]
    assert [content for content, *_ in await turns()] == ["What is the RSI of SPX?"]


async def test_the_catalogue_gives_the_price_of_another_model(
    chat: Chat, driver: Driver, transcriber: Transcriber, settings: Any, tmp_path: Any
) -> None:
    path = tmp_path / "models.toml"
    path.write_text(
        "[[model]]\nprovider = 'demo'\nname = 'demo'\nsize = 'small'\n[[transcription]]\nname = 'own'\nminute = 0.6\n"
    )
    settings.MODEL_CATALOGUE, settings.TRANSCRIPTION_MODEL = str(path), "own"
    transcriber.usage = {"type": "duration", "seconds": 5.5}
    await chat.post(driver.sent(voice=VOICE))
    await take(chat)

    assert await rows("SELECT cost_usd FROM usage") == [(Decimal("0.055"),)]


async def test_no_more_of_an_answer_is_read_than_it_may_have(
    chat: Chat, driver: Driver, transcriber: Transcriber
) -> None:
    """Here one that would never end."""
    body = b'{"text": "' + b"x" * MOST_ANSWER_BYTES
    transcriber.script.append(Answered(200, body, {"Content-Length": str(10**12)}))
    await chat.post(driver.sent(voice=VOICE))

    async with asyncio.timeout(PATIENCE_S):
        await take(chat)
    await chat.deliver()

    assert "I could not make that out" in driver.shown()[0]


async def test_what_was_heard_is_not_bought_again_while_another_file_is_tried(
    chat: Chat, driver: Driver, transcriber: Transcriber
) -> None:
    """Telegram sends pieces of music in albums."""
    driver.api.files["w"] = b"OggS"
    for number, name in ((1, "v"), (2, "w")):
        await chat.post(driver.sent(number, media_group_id="m", audio=VOICE | {"file_id": name}))
    driver.api.script.extend([Reply(), Reply(), CUT])
    await take(chat)
    assert len(transcriber.calls) == 1
    await take(chat)

    assert len(transcriber.calls) == 2
    assert [content for content, *_ in await turns()] == ["What is the RSI of SPX?\n\nWhat is the RSI of SPX?"]


async def test_words_that_no_table_holds_are_cleaned(chat: Chat, driver: Driver, transcriber: Transcriber) -> None:
    transcriber.script.append(Answered(200, b'{"text": "one\\u0000 \\ud83d two"}'))
    await chat.post(driver.sent(voice=VOICE))
    await take(chat)

    assert [content for content, *_ in await turns()] == ["one ? two"]
