"""Source: DESIGN.md, section 3, and the demand that licence changes and sign-outs act on open sockets within 5 s."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from accounts.licences import LicenceChange, set_licence
from accounts.models import UserLicence
from agents.tests.engine import say
from channels_app.tests.live import ORIGIN, Client, client_of, http_of, ready_client, token_of
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


async def sql(statement: Any, *, silently: bool = False) -> None:
    """Change rows as somebody with a database client does; `silently` = no trigger of ours fires, as when NOTIFY is lost."""
    async with connection() as conn, conn.transaction():
        if silently:
            await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(statement)


@asynccontextmanager
async def browser(host: str, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is signed in and has loaded the page, as an embedding site leaves it."""
    async with http_of(host, Origin=ORIGIN) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of(user_id)}"})
        await http.get("/")
        http.headers["X-CSRFToken"] = http.cookies["csrftoken"]
        yield http


async def ticket_of(http: httpx.AsyncClient) -> str:
    return str((await http.post("/api/v1/ws-ticket", json={})).json()["ticket"])


def tab_with(host: str, ticket: str) -> connect:
    names = [Subprotocol("dexorder.v1"), Subprotocol(f"dexorder.ticket.{ticket}")]
    return connect(f"ws://{host}/ws/chat", subprotocols=names, origin=Origin(ORIGIN))


@asynccontextmanager
async def tab_of(host: str, http: httpx.AsyncClient) -> AsyncIterator[Client]:
    """A chat page in the browser, after `ready`."""
    async with tab_with(host, await ticket_of(http)) as raw:
        client = Client(raw)
        await client.until("ready")
        yield client


@pytest.mark.parametrize("silently", [False, True], ids=["told", "found by the poll"])
@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM user_licenses WHERE user_id = 'demo-pro'", "no_licence"),
        ("UPDATE user_licenses SET expires_at = now() WHERE user_id = 'demo-pro'", "licence_expired"),
        ("UPDATE user_licenses SET license_type = 'none' WHERE user_id = 'demo-pro'", "no_licence"),
    ],
)
async def test_a_licence_that_ends_closes_every_socket_of_its_user_and_no_other(
    statement: str, code: str, silently: bool, gateway: str
) -> None:
    async with (
        ready_client(gateway, "demo-pro") as one,
        ready_client(gateway, "demo-pro") as two,
        ready_client(gateway, "demo-free") as other,
    ):
        await sql(statement, silently=silently)
        for client in (one, two):
            closed, reason = await client.closed()
            assert (closed, client.frames[-1]["code"]) == (4403, code)
            assert reason == client.frames[-1]["message"]
        await other.quiet()


async def test_a_licence_that_runs_out_closes_its_socket(gateway: str) -> None:
    soon = timezone.now() + timedelta(seconds=4)
    await sync_to_async(UserLicence.objects.filter(user_id="demo-pro").update)(expires_at=soon)
    async with client_of(gateway, "demo-pro") as client:
        await client.until("ready")
        closed, _ = await client.closed()

    assert (closed, client.frames[-1]["code"]) == (4403, "licence_expired")


async def test_a_change_of_tier_greets_an_open_socket_again_and_its_turns_go_on(gateway: str) -> None:
    turn = (await say("Hello")).turn
    async with ready_client(gateway, "demo-pro") as client:
        await sync_to_async(set_licence)("demo-pro", LicenceChange(tier="free"))
        again = await client.until("ready")

    assert (again["licence"], again["running"]) == ("free", [turn])


async def test_a_change_that_the_client_does_not_see_is_not_told(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await sync_to_async(set_licence)("demo-pro", LicenceChange(email="ada@example.com"))

        await client.quiet()


async def test_signing_out_closes_the_sockets_of_that_browser_and_no_other(gateway: str) -> None:
    async with (
        browser(gateway, "demo-pro") as one,
        browser(gateway, "demo-pro") as other,
        tab_of(gateway, one) as tab,
        tab_of(gateway, one) as second,
        tab_of(gateway, other) as elsewhere,
    ):
        assert (await one.delete("/api/v1/session")).status_code == 204

        for client in (tab, second):
            closed, reason = await client.closed()
            assert (closed, reason) == (4401, "You have signed out.")
        await elsewhere.send("ping")
        await elsewhere.until("pong")


async def test_a_sign_out_that_nobody_told_of_is_found(gateway: str) -> None:
    async with browser(gateway, "demo-pro") as http, tab_of(gateway, http) as tab:
        await sql("DELETE FROM browser_sessions", silently=True)

        assert (await tab.closed())[0] == 4401


async def test_a_ticket_of_a_session_that_was_signed_out_opens_nothing(gateway: str) -> None:
    async with browser(gateway, "demo-pro") as http:
        ticket = await ticket_of(http)
        await http.delete("/api/v1/session")
        async with tab_with(gateway, ticket) as raw:
            closed, _ = await Client(raw).closed()

    assert closed == 4401


async def test_signing_in_as_somebody_else_ends_the_sockets_of_who_was_there(gateway: str) -> None:
    async with browser(gateway, "demo-pro") as http, tab_of(gateway, http) as tab:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-free')}"})

        assert (await tab.closed())[0] == 4401


async def test_signing_in_again_leaves_the_sockets_open(gateway: str) -> None:
    async with browser(gateway, "demo-pro") as http, tab_of(gateway, http) as tab:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})
        await sql("SELECT pg_notify('sessions', 'demo-pro')")

        await tab.send("ping")
        await tab.until("pong")


async def test_a_socket_that_showed_a_token_of_its_own_outlives_the_session(gateway: str) -> None:
    async with browser(gateway, "demo-pro") as http, tab_of(gateway, http) as tab:
        await tab.send("authenticate", token=await token_of("demo-pro"))
        await tab.send("ping")
        await tab.until("pong")
        await http.delete("/api/v1/session")

        await tab.send("ping")
        await tab.until("pong")


async def test_a_stream_over_http_ends_with_the_licence(gateway: str) -> None:
    turn = (await say("Hello")).turn
    async with (
        http_of(gateway, "demo-pro") as http,
        http.stream("GET", f"/api/v1/turns/{turn}/events") as answer,
    ):
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("id: 1")
        await sql("DELETE FROM user_licenses WHERE user_id = 'demo-pro'")
        rest = [line async for line in lines]

    assert any("no_licence" in line for line in rest)


async def test_a_database_that_is_away_closes_nothing(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        async with connection() as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
            )
        await asyncio.gather(client.send("ping"), client.until("pong"))
        await sql("DELETE FROM user_licenses WHERE user_id = 'demo-pro'")

        assert (await client.closed())[0] == 4403
