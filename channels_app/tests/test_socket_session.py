"""Source: DESIGN.md, section 3: sessions end with their token unless renewed; a licence that ends closes the socket."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from channels.routing import get_default_application
from django.utils import timezone

from accounts.tokens import Identity
from channels_app.protocol.client import Message, Typing
from channels_app.socket.expiry import WARN_S
from channels_app.socket.handlers import handle
from channels_app.socket.session import Session
from channels_app.standing import Standing
from channels_app.tests.live import HOUR, client_of, ready_client, serving, token_of

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = timedelta(seconds=2)


async def test_a_token_that_runs_out_is_announced_and_closes_with_4401(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro", ttl=SHORT) as client:
        code, _reason = await client.closed()

    expiring = next(frame for frame in client.frames if frame["type"] == "expiring")
    assert 0 <= expiring["seconds"] <= 2
    assert code == 4401


async def test_a_long_token_is_not_announced(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro", ttl=timedelta(seconds=WARN_S + 30)) as client:
        await client.quiet()

    assert "expiring" not in [frame["type"] for frame in client.frames]


async def test_a_fresh_token_in_band_keeps_the_socket(gateway: str) -> None:
    async with client_of(gateway, "demo-pro", ttl=SHORT) as client:
        await client.until("expiring")
        await client.send("authenticate", token=await token_of("demo-pro"))
        await asyncio.sleep(SHORT.total_seconds() + 0.2)

        await client.send("ping")
        await client.until("pong")


@pytest.mark.parametrize(("user", "code"), [("demo-free", "forbidden"), (None, "unauthorized")])
async def test_a_token_of_another_or_a_bad_one_renews_nothing(gateway: str, user: str | None, code: str) -> None:
    token = await token_of(user) if user else "nonsense"
    async with client_of(gateway, "demo-pro", ttl=SHORT) as client:
        await client.send("authenticate", token=token, id="a1")
        error = await client.until("error")
        closed, _reason = await client.closed()

    assert (error["code"], error["id"]) == (code, "a1")
    assert closed == 4401


@pytest.mark.parametrize(
    ("frame", "told"),
    [(Typing(type="typing"), None), (Message(type="message", content="Hello", id="m1"), "m1")],
    ids=["typing", "message"],
)
async def test_what_comes_before_the_end_of_a_licence_was_noticed_is_refused_and_closes(
    frame: Any, told: str | None, users: dict[str, str], pool: None
) -> None:
    """No workspace is started for it either."""
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    session = Session(Standing(Identity("demo-expired", timezone.now() + HOUR)), send, running=[])
    await handle(session, frame)
    await session.outlet.run()

    error, closed = sent
    assert json.loads(error["text"])["code"] == "licence_expired"
    assert json.loads(error["text"]).get("id") == told
    assert closed["code"] == 4403


async def test_a_workspace_that_can_not_start_is_told_and_the_socket_stays(gateway: str, settings: Any) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = []
    async with client_of(gateway, "demo-pro") as client:
        await client.until("ready")
        status = await client.until("status")

        assert status["state"] == "failed"
        assert status["detail"]
        await client.quiet()


def _before(seconds: float) -> float:
    return time.monotonic() - seconds


async def _unheard(_event: Any) -> None:
    pass


async def test_typing_is_taken_in_silence(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("typing")

        await client.quiet()


async def test_a_server_that_stops_says_1012(
    licensed: dict[str, str], pool: None, data_dir: Path, settings: Any
) -> None:
    """Clients come back and resume; uvicorn sends this code by itself."""
    settings.DEBUG = True
    async with AsyncExitStack() as server:
        host = await server.enter_async_context(serving(get_default_application()))
        async with ready_client(host, "demo-pro") as client:
            closing = asyncio.create_task(server.aclose())
            code, _reason = await client.closed()
            await closing

    assert code == 1012
