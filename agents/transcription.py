"""What somebody said, in words: by a model that hears, at OpenAI or at a server that speaks its format.

Source: OpenAI's API reference, "Create transcription": `POST /v1/audio/transcriptions`, a form with `file` and `model`.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
import structlog
from django.conf import settings

from agents.admission import admit, take_quota
from agents.errors import AgentFailed
from agents.providers import ApiEndpoint, providers
from agents.providers.openai import VENDOR_URL
from gateway.db import connection

# A minute of speech takes a few seconds.
CALL_S = 60.0
CONNECT_S = 5.0
MOST_ANSWER_BYTES = 256 * 1024
AWAY = "I can't listen just now. Try again, or write to me."
DEAF = "I could not make that out. Write to me instead."

log = structlog.get_logger(__name__)


def is_on() -> bool:
    """Whether there is a model that hears."""
    return bool(settings.TRANSCRIPTION_MODEL) and _endpoint() is not None


def faults() -> list[str]:
    """What is wrong with the settings."""
    if settings.TRANSCRIPTION_MODEL and _endpoint() is None:
        return ["TRANSCRIPTION_MODEL needs OPENAI_API_KEY or OPENAI_BASE_URL."]
    return []


async def hear(content: bytes, *, name: str, user_id: str, channel: str) -> str:
    """What is said in a file, whose name tells its format; "" for silence.

    Raises Refused where a message of the user's would be refused now (nothing is counted here), and AgentFailed.
    """
    async with connection() as conn, conn.transaction(force_rollback=True):
        await take_quota(conn, await admit(conn, user_id, channel=channel))
    endpoint = _endpoint()
    if endpoint is None:
        raise AgentFailed("not_available", DEAF)
    answer = await _ask(endpoint, content, name=name)
    if answer.status_code != HTTPStatus.OK:
        log.warning("transcription_refused", status=answer.status_code)
        later = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or answer.status_code >= 500
        raise AgentFailed("provider_unavailable", AWAY, retryable=True) if later else AgentFailed("invalid", DEAF)
    return _text(answer)


async def _ask(endpoint: ApiEndpoint, content: bytes, *, name: str) -> httpx.Response:
    url = f"{endpoint.base_url or VENDOR_URL}/audio/transcriptions"
    # Off the loop, since making the TLS context takes tens of milliseconds. A redirect could take the key elsewhere.
    client = await asyncio.to_thread(
        httpx.AsyncClient, timeout=httpx.Timeout(CALL_S, connect=CONNECT_S), follow_redirects=False
    )
    try:
        async with asyncio.timeout(CALL_S), client:
            return await client.post(
                url,
                headers={"authorization": f"Bearer {endpoint.key}"},
                data={"model": settings.TRANSCRIPTION_MODEL, "response_format": "json"},
                files={"file": (name, content)},
            )
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("transcription_failed", error=type(error).__name__)
        raise AgentFailed("provider_unavailable", AWAY, retryable=True) from None


def _text(answer: httpx.Response) -> str:
    value: Any = None
    if len(answer.content) <= MOST_ANSWER_BYTES:
        try:
            value = answer.json()
        except (ValueError, RecursionError):
            log.warning("transcription_garbled")
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise AgentFailed("provider_unavailable", DEAF)
    return str(value["text"]).replace("\0", "").strip()


def _endpoint() -> ApiEndpoint | None:
    return providers()["openai"].endpoint()
