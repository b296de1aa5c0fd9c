"""Workspaces in the admin: seen by staff, edited by nobody, since the rows follow what runs."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path

from provisioning.models import Workspace

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
