"""Tokens of an OpenID provider that nobody here wrote: npm's oauth2-mock-server, whose keys rotate.

Source: docs/security.md, Who speaks: a rotation is accepted within 30 s, the last keys serve while the issuer is down.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from accounts.jwks import COOL_DOWN_S, MAX_AGE_S, RemoteKeys
from accounts.tokens import TokenInvalid, verify_token
from gateway.testing.openid import Peer, mock_issuer

ROTATION_ACCEPTED_WITHIN_S = 30.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer(settings: Any) -> Iterator[Peer]:
    with mock_issuer() as peer:
        published = httpx.get(f"{peer.url}/.well-known/openid-configuration", trust_env=False).json()
        settings.JWT_JWKS_URL, settings.JWT_ISSUER = published["jwks_uri"], published["issuer"]
        yield peer


def token(issuer: Peer, kid: str, **claims: Any) -> str:
    return str(issuer.ask("token", kid=kid, claims={"sub": "ada", "aud": "dexorder", **claims}))


async def test_its_tokens_prove_their_subject(issuer: Peer) -> None:
    assert (await verify_token(token(issuer, "one"))).user_id == "ada"


@pytest.mark.parametrize("claims", [{"aud": "another"}, {"sub": None}, {"exp": 1}, {"iss": "https://evil.example"}])
async def test_its_tokens_for_others_are_refused(claims: dict[str, Any], issuer: Peer) -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(token(issuer, "one", **claims))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_rotation_is_accepted_in_time(algorithm: str, issuer: Peer) -> None:
    clock = Clock()
    keys = RemoteKeys(f"{issuer.url}/jwks", clock=clock)
    await verify_token(token(issuer, "one"), keys=keys)

    issuer.ask("generate", alg=algorithm, kid="two")
    clock.now += COOL_DOWN_S

    assert clock.now <= ROTATION_ACCEPTED_WITHIN_S
    assert (await verify_token(token(issuer, "two"), keys=keys)).user_id == "ada"
    assert (await verify_token(token(issuer, "one"), keys=keys)).user_id == "ada"


async def test_an_algorithm_that_is_not_allowed_is_refused(issuer: Peer) -> None:
    issuer.ask("generate", alg="RS512", kid="two")

    with pytest.raises(TokenInvalid):
        await verify_token(token(issuer, "two"))


async def test_while_it_is_down_its_last_keys_serve_for_a_day(issuer: Peer) -> None:
    clock, shown = Clock(), token(issuer, "one")
    keys = RemoteKeys(f"{issuer.url}/jwks", clock=clock)
    await verify_token(shown, keys=keys)
    issuer.ask("stop")

    clock.now += MAX_AGE_S - 1
    assert (await verify_token(shown, keys=keys)).user_id == "ada"
    clock.now += 2
    with pytest.raises(TokenInvalid):
        await verify_token(shown, keys=keys)

    issuer.ask("start")
    clock.now += COOL_DOWN_S
    assert (await verify_token(shown, keys=keys)).user_id == "ada"
