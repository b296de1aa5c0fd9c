"""Call Discord's API, and say what its errors mean for a message. Source: discord.com/developers, "Opcodes and Status Codes"."""

import json
from collections.abc import Callable
from typing import Any

from channels_app.channels._http import Answer, Http, cause
from channels_app.channels._settings import setting
from channels_app.errors import ChatClosed, DeliveryError, NotEditable
from gateway.ids import new_id

APPLICATION_ID, BOT_TOKEN, BASE_URL = "DISCORD_APPLICATION_ID", "DISCORD_BOT_TOKEN", "DISCORD_API_BASE_URL"
DEFAULT_BASE_URL = "https://discord.com/api/v10"
FILES_HOSTS = ("cdn.discordapp.com", "media.discordapp.net")
# Source: "Rate Limits": a 429 carries retry_after; this is for one of a proxy's that does not.
DEFAULT_WAIT_S = 5.0
# Longer than any wait that Discord asks for; what is not a number of seconds is none.
MAX_WAIT_S = 86_400.0

# Source: "HTTP Response Codes", 502: "There was not a gateway available to process your request"; RFC 9110, 503: "currently
# unable to handle the request".
_NOT_TAKEN = frozenset({502, 503})

PICTURE = "chart.png"

HTTP = Http()


class NoInteraction(DeliveryError):
    """The interaction is over, or Discord does not yet know that it was answered."""


_KINDS: dict[int, Callable[[str], DeliveryError]] = {
    # Unknown channel or user; no access; the user takes no messages from the bot.
    **dict.fromkeys((10003, 10013, 50001, 50007, 50013, 50278), ChatClosed),
    # Unknown message; not the bot's own; archived.
    **dict.fromkeys((10008, 50005, 50083), NotEditable),
    # Unknown webhook or interaction; invalid webhook token: an interaction that is over, or is not yet answered.
    **dict.fromkeys((10015, 10062, 50027), NoInteraction),
}


async def call(method: str, path: str, body: Any = None, *, picture: bytes = b"") -> Any:
    """Call a method as the bot, or by the interaction's token in the path; its answer, None for an empty one.

    A `picture` is sent with the body, which names it as the attachment 0.
    Raises DeliveryError, and of it ChatClosed, NotEditable and NoInteraction.
    """
    headers = {"user-agent": "DiscordBot (https://dexorder.example, 1)"}
    if not path.startswith("/webhooks/"):
        headers["authorization"] = f"Bot {setting(BOT_TOKEN)}"
    content = None if body is None else json.dumps(body).encode()
    if content is not None:
        headers["content-type"] = "application/json"
    if content is not None and picture:
        headers["content-type"], content = _form(content, picture)
    url = setting(BASE_URL, DEFAULT_BASE_URL).rstrip("/") + path
    answer = await HTTP.request(method, url, headers=headers, content=content)
    if not answer.ok:
        raise _translated(answer)
    value = answer.json()
    if value is None and answer.body:
        raise DeliveryError(f"odd_answer ({answer.status})", ambiguous=True)
    return value


async def call_again(method: str, path: str, body: Any) -> Any:
    """The same of what may be asked twice: the second changes nothing, so an answer that is lost is no ambiguous one."""
    try:
        return await call(method, path, body)
    except DeliveryError as error:
        if not error.ambiguous:
            raise
        raise DeliveryError(error.cause) from error


def _form(body: bytes, picture: bytes) -> tuple[str, bytes]:
    """Source: discord.com/developers, "Uploading Files": a form with `payload_json` and `files[0]`."""
    mark = new_id()
    field = 'Content-Disposition: form-data; name="payload_json"\r\nContent-Type: application/json'
    file = f'Content-Disposition: form-data; name="files[0]"; filename="{PICTURE}"\r\nContent-Type: image/png'
    pieces = [f"--{mark}\r\n{field}\r\n\r\n".encode(), body, f"\r\n--{mark}\r\n{file}\r\n\r\n".encode(), picture]
    return f"multipart/form-data; boundary={mark}", b"".join([*pieces, f"\r\n--{mark}--\r\n".encode()])


def id_of(answer: Any) -> str:
    """The id of what was made. Raises DeliveryError."""
    if isinstance(answer, dict) and isinstance(answer.get("id"), str):
        return str(answer["id"])
    raise DeliveryError("odd_answer (no id)", ambiguous=True)


def _translated(answer: Answer) -> DeliveryError:
    body = answer.json()
    body = body if isinstance(body, dict) else {}
    code, words = body.get("code"), body.get("message")
    if answer.status == 429:
        # Source: "Rate Limits": `global` tells whether the whole bot is to wait; what is in front of Discord bans an address.
        bot_waits = body.get("global") is True or not body
        return DeliveryError("too_many_requests", retry_after_s=_wait_s(answer, body), everywhere=bot_waits)
    if answer.status in _NOT_TAKEN:
        return DeliveryError(cause("platform_failed", answer.status))
    if answer.status >= 500:
        # The gateway in front of it may have given up on a request that was done.
        return DeliveryError(cause("platform_failed", answer.status), ambiguous=True)
    if isinstance(code, int) and code in _KINDS:
        return _KINDS[code](cause("refused", words))
    # The operator can put a bad token right before the message is too old.
    refused = answer.status == 401
    return DeliveryError(
        "token_refused" if refused else cause("refused", words or answer.status), permanent=not refused
    )


def _wait_s(answer: Answer, body: dict[str, Any]) -> float:
    wait = body.get("retry_after")
    if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 < wait < MAX_WAIT_S:
        return float(wait)
    return answer.retry_after_s() or DEFAULT_WAIT_S
