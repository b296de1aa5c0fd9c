"""Source: DESIGN.md, section 4: the workspace's status, start and stop."""

import pytest

from channels_app.tests.live import error_code, http_of, ready_client

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/workspace"


async def test_the_status_is_told(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        status = (await http.get(URL)).json()

    assert set(status) == {"state", "stage", "detail", "since", "last_cause"}
    assert status["state"] == "stopped"


async def test_a_start_is_told_to_the_users_tabs(gateway: str) -> None:
    async with ready_client(gateway, "demo-free") as other, ready_client(gateway, "demo-pro") as client:
        async with http_of(gateway, "demo-pro") as http:
            assert (await http.post(URL, json={"action": "start"})).status_code == 202
        await client.quiet()
        await other.quiet()


async def test_a_stop_of_nothing_is_no_error(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.post(URL, json={"action": "stop"})).status_code == 202


@pytest.mark.parametrize("body", [{}, {"action": "explode"}, {"action": 1}, []])
async def test_another_action_is_400(gateway: str, body: object) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(URL, json=body), 400) == "invalid"


async def test_without_a_licence_nothing_starts(gateway: str) -> None:
    async with http_of(gateway, "demo-expired") as http:
        assert error_code(await http.post(URL, json={"action": "start"}), 403) == "licence_expired"
