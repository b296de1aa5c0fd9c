"""The named users of a laptop. Source: DESIGN section 9."""

from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.test import RequestFactory

from accounts.demo import make_demo_users
from accounts.models import UserLicence

pytestmark = pytest.mark.django_db


def test_they_are_made_once_and_what_staff_changed_stays() -> None:
    first = make_demo_users()
    UserLicence.objects.filter(user_id="demo-free").update(license_type="pro")
    second = make_demo_users()

    assert first.made == ["demo-pro", "demo-free", "demo-enterprise", "demo-expired"]
    assert (second.made, second.admin_password) == ([], None)
    assert UserLicence.objects.get(user_id="demo-free").license_type == "pro"
    assert UserLicence.objects.get(user_id="demo-pro").email == "demo-pro@example.com"
    assert [row.user_id for row in UserLicence.objects.expired()] == ["demo-expired"]
    assert not UserLicence.objects.filter(user_id="demo-unlicensed").exists()


def test_the_password_that_is_told_opens_the_admin(rf: RequestFactory) -> None:
    password = make_demo_users().admin_password

    staff = authenticate(rf.post("/admin/login/"), username="admin", password=password)
    assert staff is not None
    assert staff.is_staff


def test_without_debug_nobody_is_made(settings: Any) -> None:
    settings.DEBUG = False

    with pytest.raises(RuntimeError):
        make_demo_users()
    assert not UserLicence.objects.exists()
    assert not get_user_model().objects.exists()
