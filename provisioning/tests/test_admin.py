"""Workspaces in the admin: seen by staff, edited by nobody, since the rows follow what runs."""

from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path
from pytest_django.fixtures import Settings

from accounts.models import AuditEntry, UserLicence
from provisioning.backends._kubernetes.manifests import release_of
from provisioning.models import Workspace
from provisioning.names import workspace_name

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("admin/", admin.site.urls)]
URL = "/admin/provisioning/workspace/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture
def failed(db: None) -> Workspace:
    return Workspace.objects.create(
        name="ws-aaaaaaaaaaaaa",
        user_id="<script>alert(1)</script>",
        backend="process",
        state="failed",
        stage_ms={"queued": 3, "starting": 812},
        last_cause="never_ready",
    )


def test_staff_sees_state_timings_and_cause_and_no_users_text_as_html(staff: Client, failed: Workspace) -> None:
    page = staff.get(URL).content.decode()

    assert "never_ready" in page
    assert "812" in page
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("address", [URL + "add/", URL + "ws-aaaaaaaaaaaaa/delete/"])
def test_nobody_adds_or_deletes_a_row(address: str, staff: Client, failed: Workspace) -> None:
    assert staff.get(address).status_code == 403


def test_a_row_is_shown_without_a_way_to_change_it(staff: Client, failed: Workspace) -> None:
    assert staff.get(URL + "ws-aaaaaaaaaaaaa/change/").status_code == 200
    assert staff.post(URL + "ws-aaaaaaaaaaaaa/change/", {"state": "ready"}).status_code == 403


NAME = workspace_name("demo-pro")


def test_staff_finds_what_still_runs_an_earlier_release(staff: Client, settings: Settings) -> None:
    """Source: after an upgrade nobody could see in the admin whom the Restart is for."""
    settings.PROVISIONER = "kubernetes"
    settings.WORKSPACE_IMAGE = "registry.example/workspace:1"
    for name, release in (("ws-older", "0" * 16), ("ws-newer", release_of("pro"))):
        facts = {"name": name, "pod": "x", "release": release}
        Workspace.objects.create(name=name, user_id=name, backend="kubernetes", state="ready", facts=facts)
    Workspace.objects.create(name="ws-asleep", user_id="z", backend="kubernetes", state="stopped")

    def listed(address: str) -> list[str]:
        page = staff.get(address).content.decode()
        return [name for name in ("ws-older", "ws-newer", "ws-asleep") if f"{name}/change" in page]

    assert listed(URL + "?release=earlier") == ["ws-older"]
    assert listed(URL + "?release=this") == ["ws-newer"]
    assert len(listed(URL)) == 3
    assert staff.get(URL).content.decode().count("earlier: until its next start") == 1
    settings.WORKSPACE_IMAGE = "registry.example/workspace:2"
    assert listed(URL + "?release=earlier") == ["ws-older", "ws-newer"]


@pytest.fixture
def asleep(transactional_db: None) -> Workspace:
    UserLicence.objects.create(user_id="demo-pro", license_type="pro")
    return Workspace.objects.create(name=NAME, user_id="demo-pro", backend="process", state="stopped")


@pytest.mark.django_db(transaction=True)
def test_staff_restarts_and_stops_a_workspace_and_the_audit_says_so(
    code: Path, asleep: Workspace, client: Client
) -> None:
    client.force_login(User.objects.create_superuser("admin"))
    for action in ("restart_them", "stop_them"):
        client.post(URL, {"action": action, "_selected_action": [NAME]})

    assert Workspace.objects.get(name=NAME).state == "stopped"
    entries = AuditEntry.objects.filter(user_id="demo-pro").order_by("id")
    assert [entry.action for entry in entries] == ["workspace.restarted", "workspace.stopped"]


@pytest.mark.django_db(transaction=True)
def test_staff_is_told_why_a_workspace_does_not_start(code: Path, failed: Workspace, client: Client) -> None:
    client.force_login(User.objects.create_superuser("admin"))
    answer = client.post(URL, {"action": "start_them", "_selected_action": [failed.name]}, follow=True)

    assert "0 of 1 workspaces" in answer.content.decode()
    assert "There is no Dexorder licence" in answer.content.decode()
    assert not AuditEntry.objects.filter(action__startswith="workspace.").exists()


def test_who_may_only_look_starts_nothing(asleep: Workspace, client: Client) -> None:
    client.force_login(User.objects.create_user("helper", is_staff=True))
    client.post(URL, {"action": "start_them", "_selected_action": [NAME]})

    assert Workspace.objects.get(name=NAME).state == "stopped"
