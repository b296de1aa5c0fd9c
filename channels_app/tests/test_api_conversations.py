"""Source: DESIGN.md, sections 2 and 4: conversations over HTTP; another's is missing."""

import pytest

from agents.conversations import MOST_CONVERSATIONS, create_conversation
from agents.tests.engine import say
from channels_app.api.paging import cursor_of
from channels_app.tests.live import error_code, http_of
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/conversations"


async def test_a_conversation_is_made_listed_and_renamed(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        made = await http.post(URL, json={"title": "  Gold   miners "})
        assert made.status_code == 201
        made_id = made.json()["id"]
        assert made.json()["title"] == "Gold miners"
        assert [item["id"] for item in (await http.get(URL)).json()["conversations"]] == [made_id]

        renamed = await http.patch(f"{URL}/{made_id}", json={"title": "Silver"})
        assert (renamed.status_code, renamed.json()["title"]) == (200, "Silver")


async def test_the_page_makes_one_with_an_empty_body(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.post(URL, json={})).json()["title"] == ""
        assert (await http.post(URL)).status_code == 201


@pytest.mark.parametrize("body", [{}, {"title": 5}, {"title": "x" * 121}, {"title": None}, {"title": ["x"]}])
async def test_a_title_that_is_none_is_400(gateway: str, body: object) -> None:
    mine = (await create_conversation("demo-pro")).id
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.patch(f"{URL}/{mine}", json=body), 400) == "invalid"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_another_users_conversation_is_missing(gateway: str, method: str) -> None:
    theirs = (await create_conversation("demo-free")).id
    body = {"title": "mine now"} if method == "PATCH" else None
    async with http_of(gateway, "demo-pro") as http:
        for conversation in (theirs, new_id(), "nonsense"):
            assert error_code(await http.request(method, f"{URL}/{conversation}", json=body), 404) == "not_found"


async def test_a_conversation_that_is_being_answered_is_not_deleted(gateway: str) -> None:
    busy = (await say("Hello")).conversation
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.delete(f"{URL}/{busy}"), 409) == "busy"


async def test_history_that_can_not_be_reached_is_an_error_and_nothing_is_deleted(gateway: str) -> None:
    mine = (await create_conversation("demo-pro")).id
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.get(f"{URL}/{mine}")).status_code >= 500
        assert (await http.delete(f"{URL}/{mine}")).status_code >= 500
        assert len((await http.get(URL)).json()["conversations"]) == 1


@pytest.mark.parametrize("query", ["before=-1", "before=9223372036854775808", "before=x", "limit=0", "limit=101"])
async def test_a_page_that_is_none_is_400(gateway: str, query: str) -> None:
    mine = (await create_conversation("demo-pro")).id
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.get(f"{URL}/{mine}?{query}"), 400) == "invalid"


async def test_pages_of_the_list_hold_every_conversation_once(gateway: str) -> None:
    """Also where all were used at the same moment."""
    made = [(await create_conversation("demo-pro")).id for _ in range(5)]
    await create_conversation("demo-free")
    async with connection() as conn:
        await conn.execute("UPDATE conversations SET updated_at = '2026-01-01T00:00:00.123456Z'")
    pages: list[list[str]] = []
    cursor: str | None = ""
    async with http_of(gateway, "demo-pro") as http:
        while cursor is not None:
            page = (await http.get(f"{URL}?limit=2{cursor and f'&cursor={cursor}'}")).json()
            pages.append([item["id"] for item in page["conversations"]])
            cursor = page["next"]

    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


async def test_a_list_is_searched_by_title_in_any_case_and_by_no_pattern(gateway: str) -> None:
    for title in ("Gold 100% sure", "gold_miners", "Silver"):
        await create_conversation("demo-pro", title=title)
    await create_conversation("demo-free", title="Gold of another")
    async with http_of(gateway, "demo-pro") as http:
        for sought, found in {"GOLD": 2, "100%": 1, "d_m": 1, "%": 1, "_": 1, " silver ": 1, "": 3, "none": 0}.items():
            listed = (await http.get(URL, params={"q": sought})).json()["conversations"]
            assert len(listed) == found, sought
        assert error_code(await http.get(f"{URL}?q=%00"), 400) == "invalid"


async def test_a_full_last_page_has_no_next(gateway: str) -> None:
    for _ in range(2):
        await create_conversation("demo-pro")
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.get(f"{URL}?limit=2")).json()["next"] is None


# Fixed, so that every test process names the cases alike.
ANY = "01a21690-0000-7000-8000-000000000000"
FORGED = ["", "x", "٣", "%00", cursor_of(), cursor_of("a", "b"), cursor_of("2026-01-01", ANY),
          cursor_of("2026-01-01T00:00:00+00:00", "x"), cursor_of("0001-01-01T00:00:00+00:00", ANY, "x"),
          "W1t" * 30, "a" * 401]  # fmt: skip


@pytest.mark.parametrize("cursor", FORGED)
async def test_a_cursor_of_somebodys_own_making_is_400(gateway: str, cursor: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.get(f"{URL}?cursor={cursor}"), 400) == "invalid"
        assert error_code(await http.get(f"/api/v1/schedules?cursor={cursor}"), 400) == "invalid"


async def test_a_cursor_at_the_end_of_time_is_a_place_too(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"):
            answer = await http.get(f"{URL}?cursor={cursor_of(moment, new_id())}")
            assert answer.json() == {"conversations": [], "next": None}


@pytest.mark.parametrize(("user", "code"), [("demo-unlicensed", "no_licence"), ("demo-expired", "licence_expired")])
async def test_without_a_licence_no_conversation_is_made(gateway: str, user: str, code: str) -> None:
    async with http_of(gateway, user) as http:
        assert error_code(await http.post(URL, json={"title": "x"}), 403) == code
        assert (await http.get(URL)).json()["conversations"] == []


async def test_a_user_with_very_many_conversations_makes_no_more(gateway: str) -> None:
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO conversations (id, user_id, alias, title, model)"
            " SELECT gen_random_uuid(), 'demo-pro', '', '', '' FROM generate_series(1, %s)",
            (MOST_CONVERSATIONS,),
        )
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(URL, json={}), 409) == "too_many"
    async with http_of(gateway, "demo-free") as http:
        assert (await http.post(URL, json={})).status_code == 201


async def test_the_main_conversation_is_found_by_that_name(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        renamed = await http.patch(f"{URL}/main", json={"title": "Mine"})
        assert (renamed.status_code, renamed.json()["alias"]) == (200, "main")
        # Both are past finding it: the workspace can't be reached.
        assert error_code(await http.get(f"{URL}/main"), 503) == "workspace_unreachable"
        assert error_code(await http.delete(f"{URL}/main"), 503) == "workspace_unreachable"
