"""Source: DESIGN.md, section 4: tickets, the browser's session, the user's licence and models."""

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from channels_app.tests.live import ORIGIN, Client, error_code, http_of, token_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_ticket_opens_a_socket_of_the_same_page(gateway: str) -> None:
    async with http_of(gateway, "demo-pro", Origin=ORIGIN) as http:
        answer = await http.post("/api/v1/ws-ticket", json={})
    assert answer.status_code == 201
    assert set(answer.json()) == {"ticket", "expires_at"}

    names = [Subprotocol("dexorder.v1"), Subprotocol(f"dexorder.ticket.{answer.json()['ticket']}")]
    async with connect(f"ws://{gateway}/ws/chat", subprotocols=names, origin=Origin(ORIGIN)) as connection:
        assert (await Client(connection).next())["user_id"] == "demo-pro"


async def test_a_token_becomes_a_session_and_ends(gateway: str) -> None:
    async with http_of(gateway) as http:
        bearer = {"Authorization": f"Bearer {await token_of('demo-pro')}"}
        opened = await http.post("/api/v1/session", headers=bearer)
        assert (opened.status_code, opened.json()["user_id"]) == (201, "demo-pro")
        assert "httponly" in opened.headers["set-cookie"].lower()
        assert (await http.get("/api/v1/me")).json()["user_id"] == "demo-pro"

        page = await http.get("/")
        assert page.status_code == 200
        token = {"X-CSRFToken": http.cookies["csrftoken"]}
        assert (await http.delete("/api/v1/session", headers=token)).status_code == 204
        assert error_code(await http.get("/api/v1/me"), 401) == "unauthorized"


async def test_a_session_without_the_csrf_token_changes_nothing(gateway: str) -> None:
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})

        assert error_code(await http.post("/api/v1/ws-ticket", json={}), 403) == "forbidden"


async def test_a_session_does_not_prolong_itself(gateway: str) -> None:
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of('demo-pro')}"})
        await http.get("/")

        again = await http.post("/api/v1/session", headers={"X-CSRFToken": http.cookies["csrftoken"]})
        assert error_code(again, 401) == "unauthorized"


async def test_me_shows_the_licence(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        me = (await http.get("/api/v1/me")).json()

    assert (me["user_id"], me["problem"]) == ("demo-pro", None)
    assert (me["licence"]["tier"], me["licence"]["limits"]["memory"]) == ("pro", "2Gi")


@pytest.mark.parametrize(("user", "code"), [("stranger", "no_licence"), ("demo-expired", "licence_expired")])
async def test_without_a_licence_me_says_why(gateway: str, user: str, code: str) -> None:
    async with http_of(gateway, user) as http:
        me = (await http.get("/api/v1/me")).json()
        assert (me["licence"], me["problem"]["code"]) == (None, code)

        assert error_code(await http.get("/api/v1/models"), 403) == code
        assert error_code(await http.post("/api/v1/turns", json={"content": "Hello"}), 403) == code


async def test_the_models_are_those_that_may_answer(gateway: str) -> None:
    async with http_of(gateway, "demo-free") as http:
        answer = (await http.get("/api/v1/models")).json()

    assert answer["default"] == "demo/demo"
    assert answer["default"] in [model["id"] for model in answer["models"]]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Bearer a.b.c", "Basic eDp5"])
async def test_bad_credentials_are_401_and_say_how(gateway: str, header: str) -> None:
    async with http_of(gateway, **({"Authorization": header} if header else {})) as http:
        answer = await http.get("/api/v1/me")

    assert error_code(answer, 401) == "unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
