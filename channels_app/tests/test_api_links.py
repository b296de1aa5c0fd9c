"""Source: DESIGN.md, section 4: links and links/codes; another's id and a missing one answer alike."""

from typing import Any

import httpx
import pytest

from accounts.link_codes import ChatAccount, Redemption, redeem_on
from accounts.models import ChannelLink
from channels_app.tests.chats.bot_api import TOKEN
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.live import error_code, http_of
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)
ADA = ChatAccount(channel="telegram", account="7", name="Ada (@ada)", reply_to={"chat": 7, "message": 70})
CODES = "/api/v1/links/codes"


@pytest.fixture(autouse=True)
def telegram(settings: Any) -> None:
    """Telegram is on; nothing is sent, since no dispatcher runs."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    settings.TELEGRAM_BOT_USERNAME = "dexorder_bot"


async def redeem(code: str, by: ChatAccount = ADA) -> Redemption:
    async with connection() as conn, conn.transaction():
        return await redeem_on(conn, code, by=by)


async def pending(http: httpx.AsyncClient) -> str:
    """The id of a request of chat 7 to the client's user."""
    code = (await http.post(CODES, json={"channel": "telegram"})).json()["code"]
    assert await redeem(code) is Redemption.PENDING
    found = [each for each in (await http.get("/api/v1/links")).json()["requests"] if each["state"] == "pending"]
    return str(found[0]["id"])


async def said() -> list[str]:
    return [row[0] for row in await rows("SELECT body->>'text' FROM deliveries ORDER BY id")]


async def test_a_code_comes_with_a_deep_link_of_its_own(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post(CODES, json={"channel": "telegram"})

    assert answer.status_code == 201
    assert set(answer.json()) == {"code", "command", "deep_link", "expires_at"}
    assert answer.json()["command"] == f"/link {answer.json()['code']}"
    address, _, token = answer.json()["deep_link"].partition("?start=")
    assert (address, len(token), len(answer.json()["code"])) == ("https://t.me/dexorder_bot", 22, 8)
    assert token != answer.json()["code"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_without_the_bots_name_there_is_no_deep_link(gateway: str, settings: Any) -> None:
    settings.TELEGRAM_BOT_USERNAME = ""
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.post(CODES, json={"channel": "telegram"})).json()["deep_link"] is None


@pytest.mark.parametrize("body", [{}, {"channel": ""}, {"channel": "web"}, {"channel": 5}, {"channel": "x" * 100}, []])
async def test_what_is_no_channel_gets_no_code(gateway: str, body: Any) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(CODES, json=body), 400) == "invalid"


async def test_a_channel_that_is_off_gets_no_code(gateway: str, settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN = settings.TELEGRAM_WEBHOOK_SECRET = ""
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(CODES, json={"channel": "telegram"}), 400) == "invalid"


async def test_a_licence_without_the_channel_gets_no_code(gateway: str) -> None:
    await rows("""UPDATE user_licenses SET features = '{"channels": ["slack"]}'""")
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post(CODES, json={"channel": "telegram"})

    assert error_code(answer, 403) == "not_included"
    assert "does not include Telegram" in answer.json()["error"]["message"]


async def test_who_asks_for_codes_without_end_is_told_to_wait(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        asked = [await http.post(CODES, json={"channel": "telegram"}) for _ in range(21)]

    assert [each.status_code for each in asked] == [201] * 20 + [429]
    assert error_code(asked[-1], 429) == "rate_limited"
    assert 0 < int(asked[-1].headers["Retry-After"]) <= 600


@pytest.mark.parametrize(("user", "code"), [("stranger", "no_licence"), ("demo-expired", "licence_expired")])
async def test_without_a_licence_there_is_no_code_and_nothing_to_confirm(gateway: str, user: str, code: str) -> None:
    async with http_of(gateway, user) as http:
        assert error_code(await http.post(CODES, json={"channel": "telegram"}), 403) == code
        assert error_code(await http.post(f"/api/v1/links/{new_id()}/confirm"), 403) == code
        assert (await http.get("/api/v1/links")).json() == {"links": [], "requests": []}


async def test_an_expired_user_can_still_end_a_link(gateway: str) -> None:
    await link("demo-expired", 7)
    async with http_of(gateway, "demo-expired") as http:
        (found,) = (await http.get("/api/v1/links")).json()["links"]
        assert (await http.delete(f"/api/v1/links/{found['id']}")).status_code == 204


async def test_a_confirmed_request_is_a_link_and_the_chat_is_told_once(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        request = await pending(http)
        answers = [await http.post(f"/api/v1/links/{request}/confirm") for _ in range(2)]
        listed = (await http.get("/api/v1/links")).json()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json() == listed["links"][0]
    assert listed["links"][0].keys() == {"id", "channel", "account", "name", "created_at"}
    assert (listed["links"][0]["account"], listed["links"][0]["name"]) == ("7", "Ada (@ada)")
    assert listed["requests"] == []
    assert [("Linked" in text, "demo-pro" in text) for text in await said()] == [(True, True)]


async def test_an_account_that_staff_linked_to_the_same_user_meanwhile_stays_so_and_is_no_error(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        request = await pending(http)
        await link("demo-pro", 7)
        answer = await http.post(f"/api/v1/links/{request}/confirm")
        listed = (await http.get("/api/v1/links")).json()

    assert (answer.status_code, [answer.json()]) == (200, listed["links"])
    assert listed["links"][0]["name"] == "Ada (@ada)"
    assert await rows("SELECT count(*) FROM audit WHERE action = 'link.made' AND actor = 'user:demo-pro'") == [(0,)]


async def test_a_rejected_request_links_nothing_and_the_chat_is_told(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        request = await pending(http)
        assert (await http.post(f"/api/v1/links/{request}/reject")).status_code == 204
        for step in ("reject", "confirm"):
            assert error_code(await http.post(f"/api/v1/links/{request}/{step}"), 404) == "not_found"

    assert await ChannelLink.objects.acount() == 0
    assert ["rejected" in text for text in await said()] == [True]


async def test_an_account_that_was_linked_elsewhere_meanwhile_is_refused_and_both_are_told(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http, http_of(gateway, "demo-free") as other:
        mine, theirs = await pending(http), await pending(other)
        assert (await other.post(f"/api/v1/links/{theirs}/confirm")).status_code == 200
        answer = await http.post(f"/api/v1/links/{mine}/confirm")
        assert (await http.get("/api/v1/links")).json() == {"links": [], "requests": []}

    assert error_code(answer, 409) == "conflict"
    assert "another Dexorder user" in answer.json()["error"]["message"]
    assert "demo-free" not in answer.text
    assert "so it was not linked" in (await said())[1]
    assert "demo-" not in (await said())[1]


async def test_anothers_and_missing_links_answer_alike(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        request = await pending(http)
        await link("demo-enterprise", 8)
    (ended,) = await rows("SELECT id::text FROM user_channel_links")
    async with http_of(gateway, "demo-free") as other:
        for asked in (request, ended[0], new_id(), "codes2", "%00", "..", "%F0%9F%98%80"):
            answers = [
                await other.post(f"/api/v1/links/{asked}/confirm"),
                await other.post(f"/api/v1/links/{asked}/reject"),
                await other.delete(f"/api/v1/links/{asked}"),
            ]
            assert {error_code(answer, 404) for answer in answers} == {"not_found"}

    assert await rows("SELECT count(*) FROM user_channel_links") == [(1,)]


async def test_nobody_sees_or_makes_links(gateway: str) -> None:
    async with http_of(gateway) as http:
        for method, path in [
            ("GET", "links"),
            ("POST", "links/codes"),
            ("DELETE", f"links/{new_id()}"),
            ("POST", f"links/{new_id()}/confirm"),
            ("POST", f"links/{new_id()}/reject"),
        ]:
            assert error_code(await http.request(method, f"/api/v1/{path}"), 401) == "unauthorized"


async def test_a_code_is_not_redeemed_by_opening_an_address(gateway: str) -> None:
    """Source: docs/security.md: redeemed by POST only, so that no preview of a link can."""
    async with http_of(gateway, "demo-pro") as http:
        code = (await http.post(CODES, json={"channel": "telegram"})).json()["code"]
        for path in (f"links/codes/{code}", f"links/{code}", "links/codes", f"links?code={code}"):
            await http.get(f"/api/v1/{path}")
        assert [each["state"] for each in (await http.get("/api/v1/links")).json()["requests"]] == ["open"]
