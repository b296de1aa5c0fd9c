"""Who did what to whom, kept if and only if the change is. Source: docs/security.md, Who did what."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from accounts import audit
from accounts.licence_rules import LicenceInvalid
from accounts.licences import LicenceChange, set_licence
from accounts.models import AuditEntry, UserLicence
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("accounts.tests.urls")]
LICENCES = "/admin/accounts/userlicence/"
UNCHANGED = {"email": "", "expires_at_0": "", "expires_at_1": "", "features": "", "resource_limits": ""}


def entries() -> list[tuple[str, str, str, dict[str, Any]]]:
    """All but the sign-ins of staff."""
    kept = AuditEntry.objects.exclude(action="staff.signed_in").order_by("id")
    return [(row.actor, row.action, row.user_id, row.details) for row in kept]


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("grace"))
    return client


def test_an_entry_holds_who_what_whom_and_when() -> None:
    event = audit.Event(
        actor=audit.user("ada"), action="link.made", user_id="ada", object="telegram:4711", details={"by": "code"}
    )
    audit.record(event)

    row = AuditEntry.objects.get()
    assert (row.actor, row.action, row.user_id, row.object, row.details) == (
        "user:ada",
        "link.made",
        "ada",
        "telegram:4711",
        {"by": "code"},
    )
    assert isinstance(row.at, datetime)


def test_an_entry_of_a_change_that_was_taken_back_is_not_kept() -> None:
    with transaction.atomic():
        audit.record(audit.Event(actor=audit.GATEWAY, action="link.made"))
        transaction.set_rollback(True)

    assert entries() == []


async def test_an_entry_on_an_async_connection_shares_its_transaction(pool: None) -> None:
    async with connection() as conn:
        await audit.record_on(conn, audit.Event(actor=audit.COMMAND, action="a.done", user_id="ada"))
        async with conn.transaction(force_rollback=True):
            await audit.record_on(conn, audit.Event(actor=audit.COMMAND, action="b.done"))

    rows = [row async for row in AuditEntry.objects.all()]
    assert [(row.action, row.user_id, row.details) for row in rows] == [("a.done", "ada", {})]
    assert rows[0].at is not None


def test_no_secret_stands_in_an_entry() -> None:
    details = {"api_key": "x", "url": "postgresql://gateway:hunter2@db/dexorder", "limits": {"tokens_per_month": 7}}
    audit.record(audit.Event(actor=audit.COMMAND, action="a.done", details=details))

    kept = AuditEntry.objects.get().details
    assert "hunter2" not in kept["url"]
    assert (kept["api_key"], kept["limits"]) == ("[redacted]", {"tokens_per_month": 7})


def test_a_licence_that_is_made_and_changed_leaves_what_differs() -> None:
    set_licence("ada", LicenceChange(tier="free"))
    set_licence("ada", LicenceChange(tier="pro", features={"deploy": False}), actor=audit.staff("grace"))
    set_licence("ada", LicenceChange(tier="pro"))

    made, changed = entries()
    assert made[:3] == ("command", "licence.made", "ada")
    assert made[3]["tier"] == [None, "free"]
    assert changed == (
        "staff:grace",
        "licence.changed",
        "ada",
        {"tier": ["free", "pro"], "features": [{}, {"deploy": False}]},
    )


def test_a_licence_that_can_not_be_set_leaves_nothing() -> None:
    with pytest.raises(LicenceInvalid):
        set_licence("ada", LicenceChange(tier="pro", email="nobody"))

    assert entries() == []


def test_the_command_leaves_an_entry() -> None:
    call_command("set_licence", "ada", tier="pro")

    assert [entry[:3] for entry in entries()] == [("command", "licence.made", "ada")]


def test_staffs_changes_name_the_member_of_staff(staff: Client) -> None:
    form = {**UNCHANGED, "mcp_server_url": ""}
    assert staff.post(f"{LICENCES}add/", {**form, "user_id": "ada", "license_type": "free"}).status_code == 302
    assert staff.post(f"{LICENCES}ada/change/", {**form, "license_type": "pro"}).status_code == 302
    assert staff.post(f"{LICENCES}ada/delete/", {"post": "yes"}).status_code == 302

    made, changed, removed = entries()
    assert [entry[:3] for entry in (made, changed, removed)] == [
        ("staff:grace", f"licence.{verb}", "ada") for verb in ("made", "changed", "removed")
    ]
    assert changed[3] == {"tier": ["free", "pro"]}
    assert removed[3]["tier"] == ["pro", None]


def test_removing_many_leaves_an_entry_each(staff: Client) -> None:
    for user in ("ada", "bob"):
        UserLicence.objects.create(user_id=user, license_type="pro")
    action = {"action": "delete_selected", "_selected_action": ["ada", "bob"], "post": "yes"}

    assert staff.post(LICENCES, action).status_code == 302

    assert not UserLicence.objects.exists()
    assert sorted(entry[1:3] for entry in entries()) == [("licence.removed", "ada"), ("licence.removed", "bob")]


def test_a_sign_in_of_staff_leaves_an_entry() -> None:
    get_user_model().objects.create_superuser("grace", password="a-long-pass-phrase")
    form = {"username": "grace", "password": "a-long-pass-phrase", "next": "/admin/"}

    assert Client().post("/admin/login/", form | {"password": "guessed"}).status_code == 200
    assert Client().post("/admin/login/", form).status_code == 302

    assert [(row.actor, row.action, row.details) for row in AuditEntry.objects.all()] == [
        ("staff:grace", "staff.signed_in", {})
    ]
