"""Sign-in by the code flow with PKCE at a certified provider (npm: oidc-provider). Source: DESIGN, section 4."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from accounts import oidc
from accounts.models import AuditEntry, BrowserSession, UserLicence
from accounts.signin_errors import ProviderBroken, SignInFailed, SignInStale
from accounts.tests.signing_in import CALLBACK, Person, assert_refused, begin, come_back, parameters, who
from gateway.embedded.ports import free_port
from gateway.testing.openid import CLIENT, SECRET, Peer, certified_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("accounts.tests.urls")]


@pytest.fixture(scope="module")
def certified() -> Iterator[Peer]:
    with certified_provider(CALLBACK) as peer:
        yield peer


@pytest.fixture(autouse=True)
def _no_development_issuer(settings: Any) -> None:
    settings.JWT_JWKS_URL = "https://issuer.example/jwks.json"


@pytest.fixture
def provider(certified: Peer, settings: Any) -> Peer:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = certified.url, CLIENT, SECRET
    return certified


def test_a_sign_in_leads_to_the_wanted_page_with_a_session(provider: Peer, person: Person, client: Client) -> None:
    answer = come_back(client, person.sign_in(begin(client, next_path="/account/?tab=links"), login="ada"))

    assert (answer.status_code, answer["Location"]) == (302, "/account/?tab=links")
    assert who(client) == "ada"
    cookie = answer.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    left = BrowserSession.objects.get(user_id="ada").expires_at - datetime.now(UTC)
    assert timedelta(hours=11) < left <= oidc.SESSION_LIFE


def test_the_provider_is_asked_with_pkce_state_and_nonce(provider: Peer, client: Client) -> None:
    url = begin(client)

    assert url.startswith(f"{provider.url}/auth?")
    asked = parameters(url)
    assert asked.keys() == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert (asked["response_type"], asked["code_challenge_method"], asked["redirect_uri"]) == ("code", "S256", CALLBACK)
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
    assert parameters(begin(client))["state"] != asked["state"]


@pytest.mark.parametrize(("method", "secret"), [("client_secret_post", SECRET), ("none", "")])
def test_the_secret_is_sent_as_the_provider_takes_it(
    method: str, secret: str, person: Person, client: Client, settings: Any
) -> None:
    with certified_provider(CALLBACK, method=method) as other:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = other.url, CLIENT, secret
        come_back(client, person.sign_in(begin(client), login="ada"))

    assert who(client) == "ada"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "evil"])
def test_a_sign_in_leads_to_no_other_site(wanted: str, provider: Peer, person: Person, client: Client) -> None:
    answer = come_back(client, person.sign_in(begin(client, next_path=wanted), login="ada"))

    assert answer["Location"] == "/"


def test_an_answer_in_another_browser_signs_nobody_in(provider: Peer, person: Person, client: Client) -> None:
    """An attacker who sends somebody their own answer would have them work in the attacker's account (RFC 6749, 10.12)."""
    back, victim = person.sign_in(begin(client), login="mallory"), Client()

    assert_refused(come_back(victim, back), victim, 400)


def test_an_answer_is_good_once(provider: Peer, person: Person, client: Client) -> None:
    back = person.sign_in(begin(client), login="ada")
    kept = {name: morsel.value for name, morsel in client.cookies.items()}
    come_back(client, back)
    client.post("/signout/")
    assert_refused(come_back(client, back), client, 400)

    again = Client()
    for name, value in kept.items():
        again.cookies[name] = value
    assert_refused(come_back(again, back), again, 400)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"state": "guessed"}, 400),
        ({"state": ""}, 400),
        ({"code": "guessed"}, 400),
        ({"code": ""}, 403),
        ({"iss": "https://evil.example"}, 502),
    ],
)
def test_an_answer_that_was_changed_signs_nobody_in(
    change: dict[str, str], status: int, provider: Peer, person: Person, client: Client
) -> None:
    back = person.sign_in(begin(client), login="ada")
    changed = f"{CALLBACK}?{urlencode(parameters(back) | change)}"

    assert_refused(come_back(client, changed), client, status)


def test_a_kept_attempt_that_was_changed_is_none(provider: Peer, person: Person, client: Client) -> None:
    back = person.sign_in(begin(client), login="ada")
    (name,) = [name for name in client.cookies if name.startswith("signin_")]
    cookie = client.cookies[name]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/signin/")
    client.cookies[name] = "x" + cookie.value

    assert_refused(come_back(client, back), client, 400)


@pytest.mark.parametrize(
    ("change", "error"), [({"nonce": "another"}, ProviderBroken), ({"verifier": "v" * 43}, SignInStale)]
)
def test_an_answer_to_another_attempt_is_refused(
    change: dict[str, str], error: type[SignInFailed], provider: Peer, person: Person
) -> None:
    """The provider checks the verifier, the gateway the nonce."""
    url, attempt = async_to_sync(oidc.begin)(redirect_uri=CALLBACK, next_path="/")
    answer = parameters(person.sign_in(url, login="ada"))

    with pytest.raises(error):
        async_to_sync(oidc.finish)(replace(attempt, **change), answer, redirect_uri=CALLBACK)


def test_who_cancels_at_the_provider_is_told_so(provider: Peer, person: Person, client: Client) -> None:
    back = person.cancel(begin(client, next_path="/account/"))
    assert parameters(back)["error"] == "access_denied"

    answer = come_back(client, back)
    assert_refused(answer, client, 403)
    assert "/signin/?next=%2Faccount%2F" in answer.content.decode()


def test_a_provider_that_is_down_is_told_so(client: Client, settings: Any) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = f"http://127.0.0.1:{free_port()}", CLIENT

    assert_refused(client.get("/signin/", follow=True), client, 503)


def test_a_provider_that_does_not_know_the_client_is_told_so(
    provider: Peer, person: Person, client: Client, settings: Any
) -> None:
    back = person.sign_in(begin(client), login="ada")
    settings.OIDC_CLIENT_SECRET = "another"

    assert_refused(come_back(client, back), client, 502)


def test_a_first_sign_in_enrols_with_the_address_that_the_provider_verified(
    provider: Peer, person: Person, client: Client, settings: Any
) -> None:
    settings.AUTO_ENROL_TIER = "free"
    come_back(client, person.sign_in(begin(client), login="ada"))

    licence = UserLicence.objects.get()
    assert (licence.user_id, licence.license_type, licence.email) == ("ada", "free", "ada@example.com")
    assert AuditEntry.objects.get().actor == "gateway"


def test_signing_out_says_so_and_offers_the_providers_own(provider: Peer, person: Person, client: Client) -> None:
    come_back(client, person.sign_in(begin(client), login="ada"))
    answer = client.post("/signout/", follow=True)

    assert answer.redirect_chain == [("/signed-out/", 302)]
    page = answer.content.decode()
    assert f"{provider.url}/session/end?client_id={CLIENT}" in page
    assert who(client) is None


def test_the_development_page_offers_the_provider_too(provider: Peer, client: Client, settings: Any) -> None:
    settings.JWT_JWKS_URL = ""
    page = client.get("/signin/", {"next": "/account/"}).content.decode()

    assert 'href="/signin/provider/?next=%2Faccount%2F"' in page


@pytest.mark.parametrize("path", ["/signin/", "/signin/provider/", "/signin/callback/"])
def test_without_a_provider_its_addresses_are_not_there(path: str, client: Client) -> None:
    assert client.get(path).status_code == 404
