"""What must hold of an ID token, said by an issuer that signs anything (npm: oauth2-mock-server).

Source: OpenID Connect Core 1.0, section 3.1.3.7.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import UserLicence
from accounts.tests.signing_in import Person, assert_refused, begin, come_back, who
from gateway.testing.openid import CLIENT, Peer, mock_issuer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("accounts.tests.urls")]


@pytest.fixture(scope="module")
def mock() -> Iterator[Peer]:
    with mock_issuer() as peer:
        yield peer


@pytest.fixture
def liar(mock: Peer, settings: Any) -> Peer:
    settings.JWT_JWKS_URL = "https://issuer.example/jwks.json"
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = mock.url, CLIENT, ""
    return mock


@pytest.fixture
def sign_in(liar: Peer, person: Person, client: Client) -> Callable[..., Any]:
    def with_claims(**claims: Any) -> Any:
        liar.ask("sign", claims=claims)
        return come_back(client, person.sign_in(begin(client), login=""))

    return with_claims


def test_a_good_one_signs_in(sign_in: Callable[..., Any], client: Client) -> None:
    assert sign_in(sub="ada")["Location"] == "/"
    assert who(client) == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another", CLIENT], "azp": "another"},
        {"iss": "https://evil.example"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"iat": 10**10},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": " a"},
        {"sub": "x" * 256},
    ],
    ids=lambda claims: str(claims)[:40],
)
def test_a_bad_one_signs_nobody_in(claims: dict[str, Any], sign_in: Callable[..., Any], client: Client) -> None:
    assert_refused(sign_in(**({"sub": "ada"} | claims)), client, 502)


@pytest.mark.parametrize(("verified", "kept"), [(True, "ada@example.com"), (False, ""), (None, ""), ("true", "")])
def test_only_a_verified_address_is_kept(verified: Any, kept: str, sign_in: Callable[..., Any], settings: Any) -> None:
    settings.AUTO_ENROL_TIER = "free"
    sign_in(sub="ada", email="ada@example.com", email_verified=verified)

    assert UserLicence.objects.get().email == kept
