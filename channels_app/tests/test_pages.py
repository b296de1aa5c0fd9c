"""Source: DESIGN.md, section 4: `GET /` is the chat of whoever is signed in, `GET /account/` their links and licence."""

import html
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from channels_app.tests.chats.bot_api import TOKEN
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.live import http_of, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("path", ["/", "/account/"])
async def test_anybody_else_is_sent_to_sign_in(gateway: str, path: str) -> None:
    async with http_of(gateway) as http:
        page = await http.get(f"{path}?a=1")

    assert page.status_code == 302
    assert page.headers["Location"] == f"/signin/?next={quote(path, safe='')}%3Fa%3D1"


@pytest.mark.parametrize(("user", "tier"), [("demo-pro", "pro"), ("demo-expired", ""), ("stranger", "")])
async def test_the_chat_knows_its_user(gateway: str, user: str, tier: str) -> None:
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of(user)}"})
        page = await http.get("/")

    assert page.status_code == 200
    assert f'"userId": "{user}", "tier": "{tier}"' in page.text
    assert "csrftoken" in http.cookies
    assert "no-store" in page.headers["Cache-Control"]


async def test_the_chat_calls_channels_as_their_operator_does(gateway: str, settings: Any) -> None:
    settings.WEBHOOK_CHANNEL_LABEL = "Acme Chat"
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})
        page = await http.get("/")

    assert '"webhook": "Acme Chat"' in page.text


@pytest.mark.parametrize("path", ["/", "/account/"])
async def test_a_page_takes_no_post(gateway: str, path: str) -> None:
    async with http_of(gateway) as http:
        assert (await http.post(path)).status_code in {403, 405}


async def account_page(gateway: str, user: str, query: str = "") -> tuple[str, dict[str, Any]]:
    """The page's HTML, and what its script begins with."""
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of(user)}"})
        page = await http.get(f"/account/{query}")
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    found = re.search(r'<script id="config" type="application/json">(.*?)</script>', page.text)
    assert found
    return page.text, json.loads(found[1])


async def test_the_account_page_shows_links_and_the_licence(gateway: str, settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    await link("demo-pro", 7)
    await link("demo-free", 8)
    await rows("UPDATE user_licenses SET expires_at = '2099-03-12 14:00+00'")
    text, config = await account_page(gateway, "demo-pro")

    assert [(each["channel"], each["account"]) for each in config["links"]] == [("telegram", "7")]
    assert config["channels"]["telegram"] == "Telegram"
    assert config["schedules"] == []
    assert 'data-channel="telegram" disabled>Link Telegram' in text
    assert "12 Mar 2099, 14:00" in text
    assert re.search(r"Messages a day</dt><dd>2,000<", text)


USED = """
    INSERT INTO usage (user_id, day, model, channel, turns, input_tokens, output_tokens, cost_usd)
    SELECT each, (clock_timestamp() AT TIME ZONE 'UTC')::date - back, model, 'web', 3, 4000, 321, 1.25
    FROM (VALUES ('demo-pro', 0, 'demo/<b>'), ('demo-pro', 40, 'demo/old'), ('demo-free', 0, 'demo/other'))
        AS v(each, back, model)
"""


async def test_the_account_page_shows_the_users_own_usage_of_the_period(gateway: str) -> None:
    await rows(USED)
    text, _ = await account_page(gateway, "demo-pro")
    longer, _ = await account_page(gateway, "demo-pro", "?days=90")

    assert re.search(
        r"demo/&lt;b&gt;</th><td>3</td><td>0</td><td>4,000</td><td>0</td><td>321</td><td>0</td><td>\$1.25<", text
    )
    assert "demo/old" not in text
    assert "demo/old" in longer
    assert "demo/other" not in text + longer
    assert "<style" not in text + longer
    assert " style=" not in text + longer


async def test_the_account_page_offers_the_same_days_for_a_spreadsheet(gateway: str) -> None:
    await rows(USED)
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})
        found = re.search(r'href="(/api/v1/usage[^"]+)"', (await http.get("/account/?days=90")).text)
        assert found
        table = await http.get(html.unescape(found[1]))

    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [line.split(",")[1] for line in table.text.splitlines()[1:]] == ["demo/old", "demo/<b>"]


async def test_without_a_licence_what_was_used_before_is_still_shown(gateway: str) -> None:
    await rows(USED.replace("'demo-free'", "'demo-expired'"))
    text, _ = await account_page(gateway, "demo-expired")

    assert "demo/other" in text
    assert "<meter" not in text


async def test_a_name_of_a_chat_account_is_no_markup_of_the_page(gateway: str) -> None:
    await link("demo-pro", 7)
    await rows("UPDATE user_channel_links SET name = '</script><script>alert(1)</script>'")
    text, config = await account_page(gateway, "demo-pro")

    assert "alert(1)</script>" not in text
    assert config["links"][0]["name"] == "</script><script>alert(1)</script>"


@pytest.mark.parametrize(("user", "why"), [("demo-expired", "has expired"), ("stranger", "no Dexorder licence")])
async def test_without_a_licence_the_account_page_says_why(gateway: str, user: str, why: str) -> None:
    text, config = await account_page(gateway, user)

    assert why in text
    assert config["links"] == []
    assert "data-channel=" not in text


async def test_a_page_speaks_its_visitors_language_and_the_api_english(gateway: str) -> None:
    """Source: the preference comes before what the browser asks for."""
    german = {"Accept-Language": "de-AT,en;q=0.5"}
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})
        page = await http.get("/", headers=german)
        assert page.headers["Content-Language"] == "de"
        assert {"Accept-Language", "Cookie"} <= {each.strip() for each in page.headers["Vary"].split(",")}
        assert '<html lang="de">' in page.text
        assert "Nachricht an den Agenten" in page.text
        assert "Nicht gefunden" in (await http.get("/nothing/", headers=german)).text
        refused = await http.get("/api/v1/conversations/x", headers=german)
        assert refused.json()["error"]["message"] == "There is no such conversation."

        token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert token
        form = {"language": "en", "next": "https://elsewhere.example/", "csrfmiddlewaretoken": token[1]}
        chosen = await http.post("/language/", data=form)
        assert chosen.headers["Location"] == "/"
        assert '<html lang="en">' in (await http.get("/", headers=german)).text


@pytest.mark.parametrize(("theme", "attribute"), [("dark", ' data-theme="dark"'), ('"><script>', "")])
async def test_a_page_looks_as_its_visitors_cookie_says(gateway: str, theme: str, attribute: str) -> None:
    async with http_of(gateway) as http:
        page = await http.get("/signin/", headers={"Cookie": f"theme={quote(theme)}"})

    assert f'<html lang="en"{attribute}>' in page.text
