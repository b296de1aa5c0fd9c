"""Call the Bot API. Its token stands in every URL, so nothing of the vendor's errors but a cause in words leaves this file."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings
from telegram import Bot
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from channels_app.errors import ChatClosed, DeliveryError, NotEditable, TooLarge

# The package's opt-in for the type that its next major version returns; without it every 429 is a deprecation warning.
os.environ.setdefault("PTB_TIMEDELTA", "true")

# The package logs calls with their texts, and answers that it can't read: a proxy's page may repeat the URL, with the token.
logging.getLogger("telegram").setLevel(logging.CRITICAL)

CONNECT_S = 5.0
READ_S = 15.0
# A call may take this long, however slowly its answer drips in.
CALL_S = 30.0
CONNECTIONS = 32
MAX_CAUSE_CHARS = 200
# The request did not leave: there was no connection for it.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
# What the package raises for a JSON answer that is not the Bot API's.
_ODD_ANSWER = (KeyError, TypeError, ValueError, AttributeError, IndexError)

T = TypeVar("T")
_bots: "WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[tuple[str, str], asyncio.Task[Bot]]]" = WeakKeyDictionary()


class BadMarkup(DeliveryError):
    """Telegram could not read the HTML of a message."""


class ChatMoved(DeliveryError):
    """The group became a supergroup, whose id is `chat`. Source: Bot API, ResponseParameters."""

    def __init__(self, chat: int) -> None:
        super().__init__("chat_moved", permanent=True)
        self.chat = chat


class NoPhoto(DeliveryError):
    """Telegram makes no photo of the picture: its sides are too long or too unlike, or it can't read it."""


class NotModified(DeliveryError):
    """The message is what it was to become already."""


# By Telegram's own words, since its error codes say no more than 400.
_BAD_REQUESTS: tuple[tuple[str, Callable[[str], DeliveryError]], ...] = (
    ("can't parse entities", lambda words: BadMarkup(words, permanent=True)),
    ("message is not modified", lambda words: NotModified(words, permanent=True)),
    ("photo_invalid_dimensions", lambda words: NoPhoto(words, permanent=True)),
    ("image_process_failed", lambda words: NoPhoto(words, permanent=True)),
    ("file is too big", lambda _words: TooLarge()),
    ("message to edit not found", NotEditable),
    ("message can't be edited", NotEditable),
)


async def call(method: Callable[[Bot], Awaitable[T]]) -> T:
    """Call one method of the bot. Raises DeliveryError, and of it those above, NotEditable, ChatClosed and TooLarge."""
    bot = await _bot()
    try:
        async with asyncio.timeout(CALL_S):
            return await method(bot)
    except TelegramError as error:
        raise _translated(error) from None
    except TimeoutError:
        raise DeliveryError("timeout", ambiguous=True) from None
    except _ODD_ANSWER as error:
        raise DeliveryError(f"odd_answer ({type(error).__name__})", ambiguous=True) from None


async def close() -> None:
    """Close the running loop's connections."""
    known = _bots.pop(asyncio.get_running_loop(), None)
    if known is None:
        return
    await asyncio.wait([known[1]])
    if not known[1].cancelled() and known[1].exception() is None:
        await known[1].result().request.shutdown()


async def _bot() -> Bot:
    """The running loop's bot; it is made anew when the settings have changed."""
    wanted = (settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_API_BASE_URL.rstrip("/"))
    loop = asyncio.get_running_loop()
    known = _bots.get(loop)
    if known is not None and known[0] != wanted:
        await close()
    if loop not in _bots:
        # Off the loop, since making the TLS context takes tens of milliseconds; one task for all that wait for it.
        _bots[loop] = (wanted, asyncio.create_task(asyncio.to_thread(_build, *wanted)))
    building = _bots[loop][1]
    try:
        return await asyncio.shield(building)
    except Exception as error:  # noqa: BLE001 - proxies, certificates, threads: each fails in its own way, before a byte
        # Others that waited for it may have begun anew already.
        if loop in _bots and _bots[loop][1] is building:
            del _bots[loop]
        raise DeliveryError(f"no_client ({type(error).__name__})") from None


def _build(token: str, base_url: str) -> Bot:
    """Not initialised, which would ask Telegram for the bot's name: no method that is used here needs it."""
    request = HTTPXRequest(
        connection_pool_size=CONNECTIONS,
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        write_timeout=READ_S,
        pool_timeout=CONNECT_S,
    )
    return Bot(
        token,
        base_url=f"{base_url}/bot",
        base_file_url=f"{base_url}/file/bot",
        request=request,
        get_updates_request=request,
    )


def _translated(error: TelegramError) -> DeliveryError:
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        seconds = wait if isinstance(wait, int | float) else wait.total_seconds()
        return DeliveryError("too_many_requests", retry_after_s=seconds)
    if isinstance(error, InvalidToken):
        # The operator can put that right before the message is too old.
        return DeliveryError("token_refused")
    if isinstance(error, ChatMigrated):
        return ChatMoved(error.new_chat_id)
    if isinstance(error, Forbidden):
        return ChatClosed(_words("forbidden", error))
    if isinstance(error, BadRequest):
        said, cause = error.message.lower(), _words("refused", error)
        return next(
            (make(cause) for words, make in _BAD_REQUESTS if words in said), DeliveryError(cause, permanent=True)
        )
    return _broken(error)


def _broken(error: TelegramError) -> DeliveryError:
    """A failure that says nothing of the message: of the network, of Telegram's servers, or of something in between."""
    cause = error.__cause__
    if isinstance(cause, _NOT_SENT):
        return DeliveryError(f"not_connected ({type(cause).__name__})")
    if cause is None and error.message != "Invalid server response":
        # Telegram itself says that it failed (5xx in its own JSON).
        return DeliveryError(_words("platform_failed", error))
    return DeliveryError(f"no_answer ({type(cause or error).__name__})", ambiguous=True)


def _words(code: str, error: TelegramError) -> str:
    """The code and, when the answer was the Bot API's own, its description, without what no log or column can hold."""
    if error.__cause__ is not None:
        return code
    words = "".join(character if character.isprintable() else " " for character in error.message)
    return f"{code}: {words}".replace(settings.TELEGRAM_BOT_TOKEN, "[redacted]")[:MAX_CAUSE_CHARS]
