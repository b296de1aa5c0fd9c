"""Source: DESIGN.md section 4, /api/v1/schedules."""

from typing import Any

import pytest

from agents.tests.engine import say
from channels_app.tests.live import http_of

pytestmark = pytest.mark.django_db(transaction=True)
TASK = {
    "kind": "task",
    "every": "weekly",
    "day": "monday",
    "at": "08:30",
    "text": "portfolio review",
    "time_zone": "Asia/Tokyo",
}
ALERT = {"kind": "alert", "symbol": "BTC", "direction": "below", "level": "50000.5"}


async def test_a_task_is_made_listed_and_deleted(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        made = await http.post("/api/v1/schedules", json=TASK)
        assert made.status_code == 201
        assert made.json()["task"] == {
            "every": "weekly", "day": "monday", "at": "08:30", "time_zone": "Asia/Tokyo", "text": "portfolio review",
        }  # fmt: skip
        assert (made.json()["channel"], made.json()["state"], made.json()["alert"]) == ("web", "active", None)

        listed = (await http.get("/api/v1/schedules")).json()
        assert listed == {"schedules": [made.json()], "next": None}

        assert (await http.delete(f"/api/v1/schedules/{made.json()['id']}")).status_code == 204
        assert (await http.get("/api/v1/schedules")).json()["schedules"] == []


async def test_an_alert_whose_price_cannot_be_read_yet_is_made_all_the_same(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        made = await http.post("/api/v1/schedules", json=ALERT)

    assert made.status_code == 201
    assert made.json()["alert"]["level"] == "50000.5"
    assert made.json()["alert"]["last_price"] is None


async def test_the_list_has_pages(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        for _ in range(3):
            await http.post("/api/v1/schedules", json=TASK)
        first = (await http.get("/api/v1/schedules?limit=2")).json()
        second = (await http.get(f"/api/v1/schedules?limit=2&cursor={first['next']}")).json()

    assert [each["number"] for each in first["schedules"] + second["schedules"]] == [1, 2, 3]
    assert second["next"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        TASK | {"at": "24:00"}, TASK | {"every": "daily"}, TASK | {"day": None}, TASK | {"time_zone": "Mars/Olympus"},
        TASK | {"text": " "}, TASK | {"text": "a\0b"}, ALERT | {"level": "0"}, ALERT | {"level": "-1"}, ALERT | {"level": 5},
        ALERT | {"symbol": ""}, {"kind": "reminder"}, {}, [], TASK | {"more": 1},
    ],
)  # fmt: skip
async def test_what_is_no_schedule_is_refused(gateway: str, wrong: Any) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/schedules", json=wrong)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid"


async def test_a_channel_in_which_the_user_was_never_heard_is_refused(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/schedules", json=TASK | {"channel": "telegram"})

    assert answer.status_code == 404


async def test_one_is_told_elsewhere_from_now_on(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        made = (await http.post("/api/v1/schedules", json=TASK)).json()
        url = f"/api/v1/schedules/{made['id']}"
        assert (await http.patch(url, json={"channel": "telegram"})).status_code == 404
        await say("Hello", channel="telegram")
        moved = await http.patch(url, json={"channel": "telegram"})
        assert moved.json() == made | {"channel": "telegram"}
        assert (await http.get("/api/v1/schedules")).json()["schedules"] == [moved.json()]
        assert (await http.patch(url, json={"channel": "web"})).json() == made


async def test_nobody_elses_is_moved_and_nothing_but_to_a_channel(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http, http_of(gateway, "demo-enterprise") as other:
        made = (await http.post("/api/v1/schedules", json=TASK)).json()
        url = f"/api/v1/schedules/{made['id']}"
        for id_of in (url, "/api/v1/schedules/x"):
            answer = await other.patch(id_of, json={"channel": "web"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        no_channel: tuple[Any, ...] = (
            {},
            [],
            {"channel": ""},
            {"channel": "Web"},
            {"channel": 1},
            {"channel": "web", "at": "1"},
        )
        for wrong in no_channel:
            answer = await http.patch(url, json=wrong)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), wrong
        assert (await http.get("/api/v1/schedules")).json()["schedules"] == [made]
