"""Source: DESIGN.md section 4, /api/v1/schedules."""

from typing import Any

import pytest

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
