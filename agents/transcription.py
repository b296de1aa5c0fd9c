"""What somebody said, in words: by a model that hears, at OpenAI or at a server that speaks its format.

Source: OpenAI's API reference, "Create transcription": `POST /v1/audio/transcriptions`, a form with `file` and `model`.
"""

import asyncio
import json
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import httpx
import structlog
from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accounts import budgets
from accounts.budgets import Spent
from agents.admission import admit, check_quota, take_quota
from agents.catalogue import catalogue
from agents.errors import AgentFailed, Refused
from agents.metering import CHARACTERS_PER_TOKEN
from agents.providers import ApiEndpoint, providers
from agents.providers.openai import VENDOR_URL
from gateway.db import connection

PROVIDER = "openai"
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
    """What is said in a file, whose name tells its format; "" for silence. What it cost is booked.

    Raises Refused where a message of the user's would be refused now (nothing is counted here), and AgentFailed.
    """
    await check_quota(user_id, channel=channel)
    endpoint = _endpoint()
    if endpoint is None:
        raise AgentFailed("not_available", DEAF)
    answer = await _ask(endpoint, content, name=name)
    if answer.status != HTTPStatus.OK:
        log.warning("transcription_refused", status=answer.status)
        later = answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500
        raise AgentFailed("provider_unavailable", AWAY, retryable=True) if later else AgentFailed("invalid", DEAF)
    value = _object(answer.body)
    async with connection() as conn:
        await budgets.spend(conn, user_id, _spent(value, channel=channel))
    return _text(value)


async def count_message(user_id: str, *, channel: str) -> None:
    """Count a message that became no turn though a model was asked for its words: else silence would have no limit."""
    try:
        async with connection() as conn, conn.transaction():
            await take_quota(conn, await admit(conn, user_id, channel=channel))
    except Refused as refused:
        # At its limit by now, through another channel; the next message is refused.
        log.info("message_not_counted", code=refused.code)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


async def _ask(endpoint: ApiEndpoint, content: bytes, *, name: str) -> _Answer:
    url = f"{endpoint.base_url or VENDOR_URL}/audio/transcriptions"
    # Off the loop, since making the TLS context takes tens of milliseconds. A redirect could take the key elsewhere.
    client = await asyncio.to_thread(
        httpx.AsyncClient, timeout=httpx.Timeout(CALL_S, connect=CONNECT_S), follow_redirects=False
    )
    form = {"model": settings.TRANSCRIPTION_MODEL, "response_format": "json"}
    headers = {"authorization": f"Bearer {endpoint.key}"}
    try:
        async with (
            asyncio.timeout(CALL_S),
            client,
            client.stream("POST", url, headers=headers, data=form, files={"file": (name, content)}) as response,
        ):
            return _Answer(response.status_code, await _read(response) if response.is_success else b"")
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("transcription_failed", error=type(error).__name__)
        raise AgentFailed("provider_unavailable", AWAY, retryable=True) from None


async def _read(response: httpx.Response) -> bytes:
    """The body, of which no more is read than an answer has."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_ANSWER_BYTES:
            log.warning("transcription_too_long")
            raise AgentFailed("provider_unavailable", DEAF)
    return body


def _object(body: bytes) -> dict[str, Any]:
    """An answer's object, whose `text` is one."""
    value: Any = None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        log.warning("transcription_garbled")
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise AgentFailed("provider_unavailable", DEAF)
    return value


def _text(value: dict[str, Any]) -> str:
    """The words, without what no table holds."""
    return str(value["text"]).replace("\0", "").encode("utf-8", "replace").decode().strip()


class _Usage(BaseModel):
    """What a server says that it took: tokens or seconds, by its model. Source: OpenAI's API reference, the same page."""

    model_config = ConfigDict(allow_inf_nan=False)

    input_tokens: int = Field(default=0, ge=0, le=10**9)
    output_tokens: int = Field(default=0, ge=0, le=10**9)
    seconds: float | None = Field(default=None, ge=0, le=10**6)


def _spent(value: dict[str, Any], *, channel: str) -> Spent:
    """What an answer cost; without the server's word for it the tokens of its text, and no money."""
    try:
        used = _Usage.model_validate(value.get("usage"))
    except ValidationError:
        used = _Usage(output_tokens=-(-len(str(value["text"])) // CHARACTERS_PER_TOKEN))
    price = catalogue().hearing(settings.TRANSCRIPTION_MODEL)
    cost = price and price.cost_usd(used.seconds, input_tokens=used.input_tokens, output_tokens=used.output_tokens)
    return Spent(
        model=f"{PROVIDER}/{settings.TRANSCRIPTION_MODEL}",
        channel=channel,
        input_tokens=used.input_tokens,
        cached_tokens=0,
        output_tokens=used.output_tokens,
        cost_usd=None if cost is None else Decimal(str(cost)),
    )


def _endpoint() -> ApiEndpoint | None:
    return providers()[PROVIDER].endpoint()
