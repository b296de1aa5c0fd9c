"""Staff see what left and what became of it, not what it said. Source: DESIGN.md section 5: deliveries."""

import pytest
from django.test import Client

from channels_app.models import Delivery


@pytest.fixture
def delivery(db: None) -> Delivery:
    return Delivery.objects.create(
        origin="outbox:1",
        part=0,
        user_id="demo-pro",
        channel="telegram",
        lane="telegram:7",
        target={"chat": 7},
        kind="done",
        body={"text": "private words"},
        digest="d" * 64,
        attempts=3,
        receipt="4711",
    )


@pytest.fixture
def staff(admin_client: Client) -> Client:
    """Signed in as staff."""
    return admin_client


def test_the_list_shows_state_attempts_and_receipt(staff: Client, delivery: Delivery) -> None:
    page = staff.get("/admin/channels_app/delivery/").content.decode()

    assert all(word in page for word in ("telegram:7", "demo-pro", "4711"))


@pytest.mark.parametrize(("words", "found"), [("demo-pro", True), ("telegram:7", True), ("somebody", False)])
def test_deliveries_are_found_by_user_and_chat(staff: Client, delivery: Delivery, words: str, found: bool) -> None:
    page = staff.get("/admin/channels_app/delivery/", {"q": words}).content.decode()

    assert ("4711" in page) == found


def test_a_delivery_is_shown_without_its_text_and_can_not_be_changed(staff: Client, delivery: Delivery) -> None:
    address = f"/admin/channels_app/delivery/{delivery.pk}/change/"

    assert "private words" not in staff.get(address).content.decode()
    assert staff.post(address, {"state": "sent"}).status_code == 403
    assert staff.get("/admin/channels_app/delivery/add/").status_code == 403
