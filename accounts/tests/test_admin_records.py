"""Usage and audit in the admin. Source: docs/operations.md, The admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts import audit
from accounts.admin.lists import values_of
from accounts.models import AuditEntry
from accounts.usage_models import Usage

pytestmark = pytest.mark.django_db
USAGE, AUDIT = "/admin/accounts/usage/", "/admin/accounts/auditentry/"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("grace"))
    AuditEntry.objects.all().delete()
    return client


def listed(client: Client, page: str, **query: str) -> list[Any]:
    return list(client.get(page, query).context["cl"].result_list)


def test_usage_is_found_by_user_and_period_the_newest_first(staff: Client) -> None:
    today = timezone.now().date()
    for user, back in (("ada", 0), ("ada", 10), ("bob", 0), ("bob", 40)):
        Usage.objects.create(user_id=user, day=today - timedelta(days=back), model=f"a/{back}", turns=1)

    def found(**query: str) -> list[tuple[str, str]]:
        return [(row.user_id, row.model) for row in listed(staff, USAGE, **query)]

    assert found() == [("bob", "a/0"), ("ada", "a/0"), ("ada", "a/10"), ("bob", "a/40")]
    assert found(q="ada") == [("ada", "a/0"), ("ada", "a/10")]
    assert found(period="7") == [("bob", "a/0"), ("ada", "a/0")]
    assert found(period="30", q="bob") == [("bob", "a/0")]
    assert len(found(period="x")) == 4


def test_usage_and_audit_are_changed_by_nobody(staff: Client) -> None:
    usage = Usage.objects.create(user_id="ada", day=timezone.now().date(), turns=1)
    audit.record(audit.Event(actor=audit.GATEWAY, action="a.done"))
    entry = AuditEntry.objects.get()

    for page, row in ((USAGE, usage), (AUDIT, entry)):
        assert staff.get(f"{page}{row.pk}/change/").status_code == 200
        assert staff.post(f"{page}{row.pk}/change/", {"turns": 5}).status_code == 403
        assert staff.post(f"{page}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert staff.get(f"{page}add/").status_code == 403


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ada", ["link.made", "licence.made"]),
        ("telegram:1", ["link.made"]),
        ("henry", ["licence.removed"]),
        ("staff:henry", ["licence.removed"]),
        ("gateway", ["link.made", "licence.made"]),
        ("nobody", []),
    ],
)
def test_entries_are_found_by_user_object_and_actor(staff: Client, term: str, found: list[str]) -> None:
    for actor, action, user, thing in (
        (audit.GATEWAY, "licence.made", "ada", ""),
        (audit.GATEWAY, "link.made", "ada", "telegram:1"),
        (audit.staff("henry"), "licence.removed", "bob", ""),
    ):
        audit.record(audit.Event(actor=actor, action=action, user_id=user, object=thing))

    assert [row.action for row in listed(staff, AUDIT, q=term)] == found
    assert [row.user_id for row in listed(staff, AUDIT, action="link.made")] == ["ada"]


def test_an_entry_shows_what_was_before_and_after_and_no_html_of_a_users(staff: Client) -> None:
    details = {"email": [None, "<script>alert(1)</script>"], "features": [{}, {"deploy": False}]}
    audit.record(audit.Event(actor=audit.GATEWAY, action="licence.made", user_id="ada", details=details))

    page = staff.get(AUDIT).content.decode()
    detail = staff.get(f"{AUDIT}{AuditEntry.objects.get().pk}/change/").content.decode()

    assert "email: – → &lt;script&gt;" in page
    assert "deploy" in detail
    assert "<script>alert(1)" not in page + detail


def test_the_values_of_a_column_are_found_without_reading_its_rows() -> None:
    assert values_of(AuditEntry, "action") == []

    for action in ("b.done", "a.done", "b.done"):
        audit.record(audit.Event(actor=audit.GATEWAY, action=action))

    assert values_of(AuditEntry, "action") == ["a.done", "b.done"]
