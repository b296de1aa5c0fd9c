"""Staff's own accounts: changed by superusers only, and audited. Source: docs/operations.md, The admin."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from accounts.models import AuditEntry

pytestmark = pytest.mark.django_db
USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
PASSWORD = "a-pass-phrase-of-length"


@pytest.fixture
def grace() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("grace", password=PASSWORD))
    AuditEntry.objects.all().delete()
    return client


def audited() -> list[tuple[str, str, str, dict[str, Any]]]:
    rows = AuditEntry.objects.order_by("id")
    return [(row.actor, row.action, row.object, row.details) for row in rows]


def form_of(user: User, **values: Any) -> dict[str, Any]:
    kept = {
        "username": user.username, "is_active": "on", "is_staff": "on",
        "date_joined_0": user.date_joined.date().isoformat(), "date_joined_1": f"{user.date_joined:%H:%M:%S}",
    }  # fmt: skip
    return {**kept, **values}


def test_an_account_that_is_made_changed_and_removed_leaves_entries_without_secrets(grace: Client) -> None:
    made = {"username": "henry", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert grace.post(f"{USERS}add/", made).status_code == 302
    henry = User.objects.get(username="henry")
    watchers = Group.objects.create(name="watchers")
    assert grace.post(f"{USERS}{henry.pk}/change/", form_of(henry, groups=[watchers.pk])).status_code == 302
    assert grace.post(f"{USERS}{henry.pk}/delete/", {"post": "yes"}).status_code == 302

    entries = audited()
    assert [entry[:3] for entry in entries] == [
        ("staff:grace", f"staff.{verb}", "staff:henry") for verb in ("made", "changed", "removed")
    ]
    assert entries[0][3] == {"username": [None, "henry"]}
    assert entries[1][3]["groups"] == [[], ["watchers"]]
    assert entries[1][3]["is_staff"] == [False, True]
    assert PASSWORD not in str(entries)
    assert len(henry.password) > 20
    assert henry.password not in str(entries)


def test_a_new_password_is_told_and_not_shown(grace: Client) -> None:
    henry = User.objects.create_user("henry")
    form = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}

    assert grace.post(f"{USERS}{henry.pk}/password/", form).status_code == 302

    ((actor, action, thing, details),) = audited()
    assert (actor, action, thing, list(details)) == ("staff:grace", "staff.changed", "staff:henry", ["password"])
    assert PASSWORD not in str(details)


def test_ones_own_password_is_audited_too(grace: Client) -> None:
    wrong = {"old_password": "guessed", "new_password1": PASSWORD + "2", "new_password2": PASSWORD + "2"}
    assert grace.post("/admin/password_change/", wrong).status_code == 200
    assert audited() == []

    assert grace.post("/admin/password_change/", {**wrong, "old_password": PASSWORD}).status_code == 302

    assert [entry[:3] for entry in audited()] == [("staff:grace", "staff.changed", "staff:grace")]


def test_a_form_that_changes_nothing_leaves_no_entry(grace: Client) -> None:
    henry = User.objects.create_user("henry", is_staff=True)
    User.objects.filter(pk=henry.pk).update(date_joined=henry.date_joined.replace(microsecond=0))

    assert grace.post(f"{USERS}{henry.pk}/change/", form_of(henry)).status_code == 302

    assert audited() == []


def test_groups_are_audited(grace: Client) -> None:
    view = Permission.objects.get(codename="view_userlicence")

    assert grace.post(f"{GROUPS}add/", {"name": "watchers", "permissions": [view.pk]}).status_code == 302

    ((_, action, thing, details),) = audited()
    assert (action, thing) == ("group.made", "group:watchers")
    assert details["permissions"] == [None, [str(view)]]


def test_nobody_but_a_superuser_gives_permissions() -> None:
    henry = User.objects.create_user("henry", is_staff=True)
    henry.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client = Client()
    client.force_login(henry)

    assert client.get(USERS).status_code == 200
    assert client.post(f"{USERS}{henry.pk}/change/", form_of(henry, is_superuser="on")).status_code == 403
    assert client.post(f"{USERS}{henry.pk}/password/", {}).status_code == 403
    assert client.post(f"{USERS}add/", {}).status_code == 403
    assert client.post(f"{GROUPS}add/", {}).status_code == 403
    assert not User.objects.get(pk=henry.pk).is_superuser


def test_there_is_no_search_over_everything(grace: Client) -> None:
    assert grace.get("/admin/search/", {"s": "a", "page": "x"}).status_code == 404
