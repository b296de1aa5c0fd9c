"""Signing in as a demo user, the session, and what the development issuer publishes. Source: DESIGN sections 4 and 9."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.demo import demo_users
from accounts.models import BrowserSession
from accounts.sessions import identity_of, sign_in, sign_out
from accounts.tokens import Identity, verify_token

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.urls"), pytest.mark.usefixtures("data_dir")]


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True)


def submit(browser: Client, user: str, **fields: str) -> Any:
    """Open the page and press a user's button."""
    page = browser.get("/signin/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    return browser.post("/signin/", {"csrfmiddlewaretoken": token[1], "user": user, **fields})


def test_the_page_has_a_button_for_each_demo_user_and_says_what_it_shows(browser: Client) -> None:
    page = browser.get("/signin/").content.decode()

    for user in demo_users():
        assert f'value="{user.user_id}"' in page
        assert user.shows in page


def test_a_press_on_a_button_signs_in_and_leads_to_the_wanted_page(browser: Client) -> None:
    answer = submit(browser, "demo-pro", next="/account/?tab=links")

    assert (answer.status_code, answer["Location"]) == (302, "/account/?tab=links")
    assert browser.get("/who").json() == {"user_id": "demo-pro"}
    cookie = answer.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", "", "\n//x"]
)
def test_signing_in_leads_to_no_other_site(wanted: str, browser: Client) -> None:
    assert submit(browser, "demo-pro", next=wanted)["Location"] == "/"
    assert 'name="next" value="/"' in browser.get("/signin/", {"next": wanted}).content.decode()


@pytest.mark.parametrize("user", ["", "stranger", "admin", "demo-pro\0"])
def test_only_a_demo_user_can_be_chosen(user: str, browser: Client) -> None:
    assert submit(browser, user).status_code == 404
    assert browser.get("/who").status_code == 401


def test_a_sign_in_without_the_csrf_token_is_refused(browser: Client) -> None:
    assert browser.post("/signin/", {"user": "demo-pro"}).status_code == 403


def test_signing_out_ends_the_session_and_takes_a_form(browser: Client) -> None:
    submit(browser, "demo-pro")
    assert browser.get("/signout/").status_code == 405
    token = browser.cookies["csrftoken"].value

    answer = browser.post("/signout/", {"csrfmiddlewaretoken": token})

    assert (answer.status_code, answer["Location"]) == (302, "/signed-out/")
    assert browser.get("/who").status_code == 401
    assert 'href="/signin/"' in browser.get("/signed-out/").content.decode()


def test_the_page_after_a_sign_out_is_for_nobody_who_is_signed_in(browser: Client) -> None:
    submit(browser, "demo-pro")

    assert browser.get("/signed-out/")["Location"] == "/"


def test_where_other_sites_sign_their_users_in_the_page_after_a_sign_out_leads_nowhere(
    settings: Any, client: Client
) -> None:
    settings.JWT_JWKS_URL = "https://issuer.example/jwks.json"

    page = client.get("/signed-out/")

    assert page.status_code == 200
    assert "/signin/" not in page.content.decode()


@pytest.mark.parametrize("setting", [{"DEBUG": False}, {"JWT_JWKS_URL": "https://issuer.example/jwks.json"}])
def test_with_the_development_issuer_off_its_addresses_are_not_there(
    setting: dict[str, Any], settings: Any, client: Client
) -> None:
    assert client.get("/signin/").status_code == 200
    for name, value in setting.items():
        setattr(settings, name, value)

    assert client.get("/signin/").status_code == 404
    assert client.post("/signin/", {"user": "demo-pro"}).status_code == 404
    assert client.get("/.well-known/jwks.json").status_code == 404
    answer = client.post("/api/v1/token", {"user": "demo-pro"}, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_token_can_be_had_for_anybody_and_verified_by_what_is_published(client: Client) -> None:
    answer = client.post("/api/v1/token", {"user": "stranger"}, content_type="application/json")

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    identity = async_to_sync(verify_token)(told["token"])
    assert identity == Identity("stranger", datetime.fromisoformat(told["expires_at"]))
    published = client.get("/.well-known/jwks.json").json()["keys"]
    assert [key.keys() & {"d", "p", "q"} for key in published] == [set()]
    claims = jwt.decode(told["token"], jwt.PyJWK(published[0]), audience="dexorder", algorithms=["RS256"])
    assert claims["sub"] == "stranger"


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"user": ""}', '{"user": "a\\u0000b"}', '{"user": {}}'])
def test_a_request_for_a_token_that_names_nobody_is_refused(body: str, client: Client) -> None:
    answer = client.post("/api/v1/token", body, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")


def request_with(session: SessionStore) -> Any:
    request = RequestFactory().get("/")
    request.session = session
    return request


def who(session: SessionStore) -> tuple[str, datetime]:
    """The signed-in user, and until when; a row stands for the session."""
    identity = identity_of(request_with(session))
    assert identity is not None
    assert BrowserSession.objects.filter(id=identity.session, user_id=identity.user_id).exists()
    return identity.user_id, identity.expires_at


class TestSession:
    def test_it_ends_with_the_identity(self) -> None:
        session = SessionStore()
        ends = timezone.now() + timedelta(minutes=5)
        sign_in(request_with(session), Identity("demo-pro", ends))
        session.save()

        assert who(session) == ("demo-pro", ends)
        assert session.get_expiry_date() == ends

        sign_in(request_with(session), Identity("demo-pro", timezone.now()))
        assert identity_of(request_with(session)) is None

    def test_signing_in_gives_it_a_new_id_so_that_a_planted_one_opens_nothing(self) -> None:
        session = SessionStore()
        session.create()
        planted = session.session_key
        sign_in(request_with(session), Identity("demo-pro", timezone.now() + timedelta(hours=1)))
        session.save()

        assert session.session_key != planted
        assert not session.exists(str(planted))

    def test_a_later_token_renews_it(self) -> None:
        session = SessionStore()
        first, second = (timezone.now() + timedelta(hours=hours) for hours in (1, 2))
        sign_in(request_with(session), Identity("demo-pro", first))
        sign_in(request_with(session), Identity("demo-pro", second))

        assert who(session) == ("demo-pro", second)
        assert BrowserSession.objects.get().expires_at == second
        assert session.get_expiry_date() == second

    def test_sessions_that_are_over_are_removed_when_somebody_signs_in(self) -> None:
        for user, ends in (("ada", timezone.now()), ("demo-pro", timezone.now() + timedelta(hours=1))):
            sign_in(request_with(SessionStore()), Identity(user, ends))

        assert [row.user_id for row in BrowserSession.objects.all()] == ["demo-pro"]

    def test_signing_out_of_the_chat_leaves_staff_signed_in_to_the_admin(self, client: Client) -> None:
        staff = get_user_model().objects.create_superuser("admin")
        client.force_login(staff)
        client.post("/signin/", {"user": "demo-pro"})
        assert client.get("/who").json() == {"user_id": "demo-pro"}

        client.post("/signout/")

        assert client.get("/who").status_code == 401
        assert client.get("/admin/").status_code == 200

    def test_what_is_left_of_old_cookies_goes_with_them(self) -> None:
        """The table would grow for ever: each sign-in, and each token that is exchanged, leaves a row."""
        old = SessionStore()
        old["x"] = 1
        old.set_expiry(-1)
        old.save()

        sign_in(request_with(SessionStore()), Identity("demo-pro", timezone.now() + timedelta(hours=1)))

        assert not Session.objects.filter(pk=old.session_key).exists()

    def test_signing_out_of_the_admin_ends_the_chat_in_that_browser_and_its_sockets(self, client: Client) -> None:
        client.force_login(get_user_model().objects.create_superuser("admin"))
        client.post("/signin/", {"user": "demo-pro"})
        assert BrowserSession.objects.exists()

        client.get("/admin/logout/")
        assert BrowserSession.objects.exists()
        client.post("/admin/logout/")

        assert not BrowserSession.objects.exists()
        assert client.get("/who").status_code == 401

    def test_nothing_is_left_of_it_after_signing_out(self) -> None:
        session = SessionStore()
        sign_in(request_with(session), Identity("demo-pro", timezone.now() + timedelta(hours=1)))
        session.save()
        key = session.session_key

        sign_out(request_with(session))

        assert session.is_empty()
        assert not BrowserSession.objects.exists()
        assert not session.exists(str(key))


class TestApi:
    def test_a_bearer_token_says_who_calls(self, client: Client) -> None:
        token = client.post("/api/v1/token", {"user": "demo-free"}, content_type="application/json").json()["token"]

        answer = client.post("/who", headers={"Authorization": f"bearer {token}"})

        assert answer.json() == {"user_id": "demo-free"}

    @pytest.mark.parametrize("sent", ["Bearer", "Bearer x", "Bearer a.b.c", "Bearer \xff", "Basic YTpi"])
    def test_a_credential_that_is_not_valid_is_401_in_the_form_of_every_refusal(
        self, sent: str, client: Client
    ) -> None:
        answer = client.get("/who", headers={"Authorization": sent})

        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"].keys() == {"code", "message", "request_id"}

    def test_the_sessions_unsafe_requests_need_the_csrf_token(self, browser: Client) -> None:
        submit(browser, "demo-pro")
        token = browser.cookies["csrftoken"].value

        refused = browser.post("/who")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert browser.post("/who", headers={"X-CSRFToken": token}).json() == {"user_id": "demo-pro"}

    def test_a_bad_token_is_not_saved_by_a_good_session(self, browser: Client) -> None:
        submit(browser, "demo-pro")

        assert browser.get("/who", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_key_that_is_made_is_readable_by_its_owner_only(client: Client, data_dir: Path) -> None:
    shutil.rmtree(data_dir / "issuer")

    assert json.loads(client.get("/.well-known/jwks.json").content)["keys"][0]["alg"] == "RS256"

    assert (data_dir / "issuer" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "issuer").stat().st_mode & 0o777 == 0o700
    assert timezone.now().tzinfo is UTC
