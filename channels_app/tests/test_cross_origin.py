"""Which sites' pages may call the API. Source: the Fetch standard, and DESIGN, section 4: embedding sites."""

from typing import Any

import httpx
import pytest

from channels_app.tests.live import ORIGIN, error_code, http_of

pytestmark = pytest.mark.django_db(transaction=True)
SITE, STRANGER = "https://trading.example", "https://evil.example"
SESSION, TICKET, ME = "/api/v1/session", "/api/v1/ws-ticket", "/api/v1/me"


@pytest.fixture(autouse=True)
def _embedding(gateway: str, settings: Any) -> None:
    settings.ALLOWED_ORIGINS = [ORIGIN, SITE]


async def preflight(host: str, path: str, origin: str) -> httpx.Response:
    async with http_of(host, Origin=origin) as http:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        return await http.options(path, headers=asked)


@pytest.mark.parametrize(("path", "cookies"), [(SESSION, "true"), (TICKET, None), (ME, None)])
async def test_an_embedding_page_may_call_with_a_token(path: str, cookies: str | None, gateway: str) -> None:
    answer = await preflight(gateway, path, SITE)

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers.get("Access-Control-Allow-Credentials") == cookies
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", [STRANGER, "null", f"{SITE}.evil.example", SITE.upper()])
async def test_a_strangers_page_may_not(origin: str, gateway: str) -> None:
    answer = await preflight(gateway, SESSION, origin)

    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", [SESSION, TICKET])
async def test_a_strangers_page_gets_no_cookie_and_no_ticket_with_a_good_token(path: str, gateway: str) -> None:
    async with http_of(gateway, "demo-pro", Origin=STRANGER) as http:
        answer = await http.post(path, json={})

    assert error_code(answer, 403) == "forbidden"
    assert "set-cookie" not in answer.headers


async def test_an_embedding_page_exchanges_its_token_and_may_read_the_answer(gateway: str) -> None:
    async with http_of(gateway, "demo-pro", Origin=SITE) as http:
        answer = await http.post(SESSION, json={})

    assert answer.status_code == 201
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]


async def test_a_refusal_may_be_read_too(gateway: str) -> None:
    async with http_of(gateway, Origin=SITE) as http:
        answer = await http.get(ME)

    assert error_code(answer, 401) == "unauthorized"
    assert answer.headers["Access-Control-Allow-Origin"] == SITE


async def test_the_pages_are_for_their_own_site(gateway: str) -> None:
    async with http_of(gateway, Origin=SITE) as http:
        answer = await http.get("/signin/")

    assert "Access-Control-Allow-Origin" not in answer.headers
