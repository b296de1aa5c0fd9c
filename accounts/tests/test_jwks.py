"""Keys of a remote issuer: rotation, outage, floods. The issuer is a real HTTP server of the test's own."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from accounts import downloads, jwks
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
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    extra: dict[str, Any] = field(default_factory=dict)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        self.asked.set()
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
        headers = {name: value for name, value in ({"kid": kid} | changes).items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers=headers)

    def _public(self, kid: str) -> dict[str, Any]:
        key = self.keys[kid]
        kind = (
            jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
        )
        return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **self.extra}


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


async def test_twenty_first_tokens_at_once_are_valid_by_one_fetch(remote: Issuer) -> None:
    remote.gate.clear()
    tasks = [asyncio.create_task(verify_token(remote.token())) for _ in range(20)]
    await remote.asked.wait()
    remote.gate.set()

    assert {identity.user_id for identity in await asyncio.gather(*tasks)} == {"ada"}
    assert remote.requests == 1


async def test_a_token_of_a_known_key_does_not_wait_for_a_fetch(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await keys.find("one")
    clock.now += jwks.COOL_DOWN_S
    remote.gate.clear()
    remote.asked.clear()
    stranger = asyncio.create_task(keys.find("unknown"))
    await remote.asked.wait()

    assert (await verify_token(remote.token(), keys=keys)).user_id == "ada"
    assert not stranger.done()
    remote.gate.set()
    assert await stranger is None


async def test_a_key_that_the_issuer_withdrew_stops_counting(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    token = remote.token()
    await verify_token(token, keys=keys)

    remote.rotate("two")
    clock.now += jwks.REFRESH_AFTER_S + 1
    with pytest.raises(TokenInvalid):
        await verify_token(token, keys=keys)


@pytest.mark.parametrize("body", [b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
async def test_a_set_without_a_usable_key_leaves_the_last_ones(body: bytes, remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await keys.find("one")

    remote.body = body
    clock.now += jwks.REFRESH_AFTER_S + 1
    assert (await verify_token(remote.token(), keys=keys)).user_id == "ada"


async def test_a_token_without_a_key_id_is_valid_by_the_only_key(remote: Issuer) -> None:
    assert (await verify_token(remote.token(kid=None))).user_id == "ada"

    remote.keys |= {"two": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
    with pytest.raises(TokenInvalid):
        await verify_token(remote.token(kid=None), keys=RemoteKeys(remote.url))


async def test_a_key_is_good_for_the_algorithm_that_its_issuer_names_only(remote: Issuer, settings: Any) -> None:
    settings.JWT_ALGORITHMS = ["RS256", "PS256"]
    remote.extra = {"alg": "PS256"}

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())


async def test_a_short_rsa_key_verifies_nothing(remote: Issuer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        remote.keys = {"one": rsa.generate_private_key(public_exponent=65537, key_size=1024)}  # noqa: S505 - that is the point
        token = remote.token()

    with pytest.raises(TokenInvalid):
        await verify_token(token)


async def test_a_redirect_is_not_followed(remote: Issuer) -> None:
    remote.status = 302

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())


async def test_a_rotated_key_is_accepted_after_the_cool_down(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await verify_token(remote.token(), keys=keys)

    remote.rotate("two", curve=True)
    with pytest.raises(TokenInvalid):
        await verify_token(remote.token(), keys=keys)
    clock.now += jwks.COOL_DOWN_S
    assert (await verify_token(remote.token(), keys=keys)).user_id == "ada"


@pytest.mark.parametrize("kid", ["one", None], ids=["under the old id", "without ids"])
@pytest.mark.parametrize("curve", [False, True], ids=["of the same kind", "of another kind"])
async def test_a_new_key_is_accepted_after_the_cool_down(kid: str | None, curve: bool, remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    await verify_token(remote.token(kid=kid), keys=keys)

    remote.rotate("one", curve=curve)
    with pytest.raises(TokenInvalid):
        await verify_token(remote.token(kid=kid), keys=keys)
    clock.now += jwks.COOL_DOWN_S
    assert (await verify_token(remote.token(kid=kid), keys=keys)).user_id == "ada"


async def test_a_flood_of_forged_signatures_leads_to_one_fetch_in_a_cool_down(remote: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(remote.url, clock=clock)
    forged = remote.token()[:-8] + "AAAAAAAA"
    await keys.find("one")
    clock.now += jwks.COOL_DOWN_S

    found = await asyncio.gather(*(verify_token(forged, keys=keys) for _ in range(100)), return_exceptions=True)

    assert all(isinstance(each, TokenInvalid) for each in found)
    assert remote.requests == 2


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
        b"x" * (downloads.MAX_BODY_BYTES + 1),
    ],
)
async def test_what_is_no_jwks_leaves_no_key(body: bytes, remote: Issuer) -> None:
    remote.body = body

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())


async def test_an_issuer_that_does_not_answer_is_given_up(remote: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "FETCH_TIMEOUT_S", 0.05)
    remote.gate.clear()

    with pytest.raises(TokenInvalid):
        await verify_token(remote.token())
    remote.gate.set()


async def test_a_key_of_another_kind_than_the_algorithm_is_refused(remote: Issuer) -> None:
    token = remote.token()
    remote.rotate("one", curve=True)

    with pytest.raises(TokenInvalid):
        await verify_token(token)


def test_a_private_key_that_was_published_is_passed_over() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)

    assert parse_jwks({"keys": [{**private, "kid": "leaked"}]}) == {}


def test_keys_for_encryption_are_passed_over() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)

    assert parse_jwks({"keys": [{**public, "kid": "e", "use": "enc"}, {**public, "kid": "s"}]}).keys() == {"s"}
