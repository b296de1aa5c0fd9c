"""Who may open a socket of the running server, and what a bad frame does to it.

Source: DESIGN.md, section 3. The handshake's own tests have every case; these have what the real server adds: its options,
its HTTP answers before the upgrade, its closes.
"""

import base64
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.tests.e2e.clients import Chat, chat
from gateway.tests.e2e.processes import Deployment, Server, http

LARGEST_FRAME_BYTES = 64 * 1024
Forge = Callable[[Server, Deployment], str]


def _claims(server: Server, **changes: Any) -> dict[str, Any]:
    """The claims of a good token, which says itself who issued it."""
    claims: dict[str, Any] = jwt.decode(server.token("demo-pro"), options={"verify_signature": False})
    return claims | changes


def _signed(server: Server, running: Deployment, **changes: Any) -> str:
    """A token that the development issuer itself might have made."""
    claims = _claims(server, **changes)
    (known,) = http.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
    key = (running.folder / "issuer" / "key.pem").read_text()
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": known["kid"]})


def _expired(server: Server, running: Deployment) -> str:
    return _signed(server, running, exp=datetime.now(UTC) - timedelta(minutes=5))


def _for_another_audience(server: Server, running: Deployment) -> str:
    return _signed(server, running, aud="another")


def _unsigned(server: Server, _running: Deployment) -> str:
    return jwt.encode(_claims(server), "", algorithm="none")


def _signed_with_the_public_key(server: Server, _running: Deployment) -> str:
    (known,) = http.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
    secret = base64.urlsafe_b64decode(known["n"] + "==")
    return jwt.encode(_claims(server), secret, algorithm="HS256", headers={"kid": known["kid"]})


async def _refused(url: str, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, additional_headers=headers, proxy=None):
            pass
    assert set(json.loads(refusal.value.response.body)["error"]) == {"code", "message", "request_id"}
    return refusal.value.response.status_code


def _socket(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/ws/chat"


async def test_what_the_forgers_start_from_is_a_good_token(gateway: Server, shared: Deployment) -> None:
    async with chat(gateway, "demo-pro", token=_signed(gateway, shared)) as client:
        assert client.frames[0]["user_id"] == "demo-pro"


async def test_without_a_token_the_upgrade_is_refused(gateway: Server) -> None:
    assert await _refused(_socket(gateway)) == 401


@pytest.mark.parametrize("forge", [_expired, _for_another_audience, _unsigned, _signed_with_the_public_key])
async def test_with_a_bad_token_the_upgrade_is_refused(gateway: Server, shared: Deployment, forge: Forge) -> None:
    assert await _refused(_socket(gateway), Authorization=f"Bearer {forge(gateway, shared)}") == 401


async def test_a_token_in_the_address_is_refused(gateway: Server) -> None:
    assert await _refused(f"{_socket(gateway)}?token={gateway.token('demo-pro')}") == 401


@pytest.mark.parametrize(("user", "code"), [("demo-expired", "licence_expired"), ("demo-unlicensed", "no_licence")])
async def test_without_a_licence_the_socket_says_why_and_closes(gateway: Server, user: str, code: str) -> None:
    headers = {"Authorization": f"Bearer {gateway.token(user)}"}
    async with connect(_socket(gateway), additional_headers=headers, proxy=None) as connection:
        client = Chat(connection)
        closed, reason = await client.closed()

    assert [frame["code"] for frame in client.frames] == [code]
    assert (closed, bool(reason)) == (4403, True)


@pytest.mark.parametrize("text", ["hello", '{"type":"ping"', "[" * 30_000 + "]" * 30_000, "x" * LARGEST_FRAME_BYTES])
async def test_a_frame_that_is_no_json_of_ours_is_an_error_and_the_socket_goes_on(gateway: Server, text: str) -> None:
    async with chat(gateway, "demo-free") as client:
        await client.connection.send(text)

        assert (await client.until("error"))["code"] == "invalid"
        await client.send("ping")
        await client.until("pong")


@pytest.mark.parametrize(("frame", "code"), [(b'{"type":"ping"}', 1003), ("x" * (LARGEST_FRAME_BYTES + 1), 1009)])
async def test_a_frame_of_another_kind_or_size_closes_its_socket_and_no_other(
    gateway: Server, frame: str | bytes, code: int
) -> None:
    async with chat(gateway, "demo-free") as other, chat(gateway, "demo-free") as client:
        await client.connection.send(frame)

        assert (await client.closed())[0] == code
        await other.send("ping")
        await other.until("pong")


@pytest.mark.parametrize("length", [9_000, 70_000])
def test_a_header_too_long_to_be_read_is_answered(gateway: Server, length: int) -> None:
    lines = ["GET /ws/chat HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        f"Authorization: Bearer {'x' * length}",
    ]
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())

        assert raw.recv(100).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400", b"HTTP/1.1 401"))
