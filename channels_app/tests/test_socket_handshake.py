"""Source: DESIGN.md, section 3, Auth; section 9 of the acceptance: 401 before the upgrade, 4403 with a reason."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from accounts.issuer import issuer_url, jwks
from accounts.licences import active_licence
from accounts.tickets import issue_ticket
from accounts.tokens import Identity
from channels_app.consumers import chat
from channels_app.socket.handshake import admit
from channels_app.tests.live import ORIGIN, Client, client_of, token_of

pytestmark = pytest.mark.django_db(transaction=True)


async def _status(host: str, *, path: str = "/ws/chat", **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(f"ws://{host}{path}", **options):
            pass
    response = refusal.value.response
    error = json.loads(response.body)["error"]
    assert set(error) == {"code", "message", "request_id"}
    return response.status_code, error["code"]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_bearer_token_opens_the_socket(gateway: str) -> None:
    async with client_of(gateway, "demo-pro") as client:
        ready = await client.next()

    assert ready["type"] == "ready"
    assert (ready["user_id"], ready["licence"], ready["running"]) == ("demo-pro", "pro", [])
    assert ready["model"] == "demo/demo"


async def test_nobody_comes_in_without_a_token(gateway: str) -> None:
    assert await _status(gateway) == (401, "unauthorized")


async def test_another_scheme_is_no_token(gateway: str) -> None:
    assert await _status(gateway, additional_headers={"Authorization": "Basic eDp5"}) == (401, "unauthorized")


async def test_two_tokens_are_none(gateway: str) -> None:
    token = await token_of("demo-pro")
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]

    assert await _status(gateway, additional_headers=headers) == (401, "unauthorized")


def _claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    claims = {"iss": issuer_url(), "aud": "dexorder", "sub": "demo-pro", "iat": now, "exp": now + timedelta(hours=1)}
    return claims | changes


def _unsigned() -> str:
    return jwt.encode(_claims(), "", algorithm="none")


def _signed_with_the_public_key() -> str:
    key = jwks()["keys"][0]
    secret = base64.urlsafe_b64decode(key["n"] + "==")
    return jwt.encode(_claims(), secret, algorithm="HS256", headers={"kid": key["kid"]})


@pytest.mark.parametrize("forge", [_unsigned, _signed_with_the_public_key, lambda: "nonsense", lambda: "a.b.c"])
async def test_a_forged_token_is_refused_before_the_upgrade(gateway: str, forge: Callable[[], str]) -> None:
    token = await sync_to_async(forge)()

    assert await _status(gateway, additional_headers=_bearer(token)) == (401, "unauthorized")


async def test_an_expired_token_is_refused_before_the_upgrade(gateway: str, settings: Any) -> None:
    token = await token_of("demo-pro", ttl=timedelta(microseconds=1))

    assert await _status(gateway, additional_headers=_bearer(token)) == (401, "unauthorized")


async def test_a_token_for_another_audience_is_refused_before_the_upgrade(gateway: str, settings: Any) -> None:
    token = await token_of("demo-pro")
    settings.JWT_AUDIENCE = "another"

    assert await _status(gateway, additional_headers=_bearer(token)) == (401, "unauthorized")


@pytest.mark.parametrize("name", ["token", "access_token", "Authorization", "ticket", "anything"])
async def test_a_token_in_the_query_string_is_refused_even_beside_a_good_header(gateway: str, name: str) -> None:
    token = await token_of("demo-pro")

    path = f"/ws/chat?{name}={token}"

    assert await _status(gateway, path=path, additional_headers=_bearer(token)) == (401, "token_in_query")


async def test_a_page_of_another_origin_is_refused(gateway: str) -> None:
    token = await token_of("demo-pro")

    assert await _status(gateway, additional_headers=_bearer(token), origin="https://evil.example") == (403, "origin")


async def test_a_page_of_an_allowed_origin_comes_in(gateway: str) -> None:
    async with client_of(gateway, "demo-pro", origin=ORIGIN) as client:
        assert (await client.next())["type"] == "ready"


async def _ticket(user_id: str = "demo-pro", *, origin: str = ORIGIN) -> str:
    return await issue_ticket(Identity(user_id, datetime.now(UTC) + timedelta(hours=1)), origin=origin)


def _with_ticket(host: str, ticket: str, **options: Any) -> connect:
    names = [Subprotocol("dexorder.v1"), Subprotocol(f"dexorder.ticket.{ticket}")]
    return connect(f"ws://{host}/ws/chat", subprotocols=names, **{"origin": ORIGIN} | options)


async def test_a_browser_comes_in_with_a_ticket(gateway: str) -> None:
    async with _with_ticket(gateway, await _ticket()) as connection:
        assert connection.subprotocol == "dexorder.v1"
        assert (await Client(connection).next())["user_id"] == "demo-pro"


async def test_a_ticket_is_good_once(gateway: str) -> None:
    ticket = await _ticket()
    async with _with_ticket(gateway, ticket) as connection:
        await Client(connection).next()

    async with _with_ticket(gateway, ticket) as connection:
        assert connection.subprotocol == "dexorder.v1"
        assert (await Client(connection).closed())[0] == 4401


async def test_a_ticket_of_another_page_closes_with_4401(gateway: str, settings: Any) -> None:
    settings.ALLOWED_ORIGINS = [ORIGIN, "https://other.example"]
    ticket = await _ticket()

    async with _with_ticket(gateway, ticket, origin="https://other.example") as connection:
        assert (await Client(connection).closed())[0] == 4401


async def test_a_ticket_without_the_protocol_is_nothing(gateway: str) -> None:
    names = [Subprotocol(f"dexorder.ticket.{await _ticket()}")]

    assert await _status(gateway, subprotocols=names, origin=ORIGIN) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("user", "code"),
    [("demo-unlicensed", "no_licence"), ("stranger", "no_licence"), ("demo-expired", "licence_expired")],
)
async def test_without_a_licence_the_socket_says_why_and_closes_with_4403(gateway: str, user: str, code: str) -> None:
    async with client_of(gateway, user) as client:
        closed, reason = await client.closed()

    assert [frame["type"] for frame in client.frames] == ["error"]
    assert client.frames[0]["code"] == code
    assert closed == 4403
    assert reason == client.frames[0]["message"][:120]


async def test_a_server_that_can_not_answer_over_http_closes_before_the_upgrade(gateway: str) -> None:
    """Daphne has no `websocket.http.response`: its client sees 403."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await chat({"type": "websocket", "headers": [], "query_string": b"", "subprotocols": []}, receive, send)

    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize("path", ["/ws/other", "/ws/chat/", "/"])
async def test_a_socket_of_another_path_is_not_found(gateway: str, path: str) -> None:
    assert (await _status(gateway, path=path))[0] == 404


async def test_a_first_token_may_bring_its_licence(gateway: str, settings: Any) -> None:
    settings.AUTO_ENROL_TIER = "free"
    authorization = f"Bearer {await token_of('stranger')}".encode()
    admitted = await admit({"headers": [(b"authorization", authorization)]})

    assert admitted.identity.user_id == "stranger"
    assert (await active_licence("stranger")).tier == "free"
