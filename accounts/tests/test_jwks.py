"""Keys of a remote issuer: rotation, outage, floods. The issuer is a real HTTP server of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from accounts import jwks
from accounts.jwks import RemoteKeys, parse_jwks
from accounts.tokens import TokenInvalid, verify_token


@dataclass
class Issuer:
    """Serves `body` with `status`, and counts."""

    keys: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    requests: int = 0
    url: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        await self.gate.wait()
        body = self.body if self.body is not None else json.dumps({"keys": list(map(self._public, self.keys))}).encode()
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            await writer.drain()
        except ConnectionError:
            return  # the client stopped reading, as it should
        finally:
            writer.close()

    def rotate(self, kid: str, *, curve: bool = False) -> None:
        made = (
            ec.generate_private_key(ec.SECP256R1())
            if curve
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        self.keys = {kid: made}

    def token(self, **changes: Any) -> str:
        kid, key = next(iter(self.keys.items()))
        now = datetime.now(UTC)
        claims = {
            "iss": "https://issuer.example",
            "aud": "dexorder",
            "sub": "ada",
            "iat": now,
            "exp": now + timedelta(hours=1),
        }
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, **changes})

    def _public(self, kid: str) -> dict[str, Any]:
        key = self.keys[kid]
        kind = (
            jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
        )
        return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@pytest.fixture
async def remote(settings: Any) -> AsyncIterator[Issuer]:
    issuer = Issuer()
    issuer.gate.set()
    issuer.rotate("one")
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    settings.JWT_JWKS_URL, settings.JWT_ISSUER = issuer.url, "https://issuer.example"
    yield issuer
    server.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_token_of_a_remote_issuer_is_valid_and_its_keys_are_fetched_once(remote: Issuer) -> None:
    for _ in range(5):
        assert (await verify_token(remote.token())).user_id == "ada"

    assert remote.requests == 1


async def test_a_rotated_key_is_accepted_after_the_cool_down(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await verify_token(remote.token(), keys=keys)

    remote.rotate("two", curve=True)
    with pytest.raises(TokenInvalid):
        await verify_token(remote.token(), keys=keys)
    clock.now += jwks.COOL_DOWN_S
    assert (await verify_token(remote.token(), keys=keys)).user_id == "ada"


async def test_a_flood_of_unknown_key_ids_leads_to_one_fetch_in_a_cool_down(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await keys.find("one")
    clock.now += jwks.COOL_DOWN_S

    found = await asyncio.gather(*(keys.find(f"unknown-{number}") for number in range(100)))

    assert found == [None] * 100
    assert remote.requests == 2


async def test_with_the_issuer_down_the_last_keys_serve_for_a_day(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    token = remote.token()
    await verify_token(token, keys=keys)

    remote.status = 500
    clock.now += jwks.MAX_AGE_S - 1
    assert (await verify_token(token, keys=keys)).user_id == "ada"
    clock.now += 2
    with pytest.raises(TokenInvalid):
        await verify_token(token, keys=keys)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": [1, {"kty": "RSA"}]}',
        b"{" * 5000,
        b"x" * (jwks.MAX_BODY_BYTES + 1),
    ],
)
async def test_what_is_no_jwks_leaves_no_key(body: bytes, remote: Issuer) -> None:
    remote.body = body

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())


async def test_an_issuer_that_does_not_answer_is_given_up(remote: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.05)
    remote.gate.clear()

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())
    remote.gate.set()


async def test_a_key_of_another_kind_than_the_algorithm_is_refused(remote: Issuer) -> None:
    token = remote.token()
    remote.rotate("one", curve=True)

    with pytest.raises(TokenInvalid):
        await verify_token(token)


def test_keys_for_encryption_are_passed_over() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)

    assert parse_jwks({"keys": [{**public, "kid": "e", "use": "enc"}, {**public, "kid": "s"}]}).keys() == {"s"}
