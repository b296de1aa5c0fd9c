"""Source: DESIGN.md, section 4: `GET /` is the chat of whoever is signed in."""

import pytest

from channels_app.tests.live import http_of, token_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_anybody_else_is_sent_to_sign_in(gateway: str) -> None:
    async with http_of(gateway) as http:
        page = await http.get("/?a=1")

    assert page.status_code == 302
    assert page.headers["Location"] == "/signin/?next=%2F%3Fa%3D1"


@pytest.mark.parametrize(("user", "tier"), [("demo-pro", "pro"), ("demo-expired", ""), ("stranger", "")])
async def test_the_chat_knows_its_user(gateway: str, user: str, tier: str) -> None:
    async with http_of(gateway) as http:
        await http.post("/api/v1/session", headers={"Authorization": f"Bearer {await token_of(user)}"})
        page = await http.get("/")

    assert page.status_code == 200
    assert f'"userId": "{user}", "tier": "{tier}"' in page.text
    assert "csrftoken" in http.cookies
    assert "no-store" in page.headers["Cache-Control"]


async def test_a_page_takes_no_post(gateway: str) -> None:
    async with http_of(gateway) as http:
        assert (await http.post("/")).status_code in {403, 405}
