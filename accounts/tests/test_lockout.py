"""A password of staff can't be guessed in numbers. Source: docs/security.md, The admin."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("staff")]
PASSWORD = "a-pass-phrase-of-length"
SIGN_IN = "/admin/login/"


@pytest.fixture
def staff() -> None:
    for name in ("grace", "henry"):
        User.objects.create_superuser(name, password=PASSWORD)


def sign_in(name: str, password: str, *, address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(SIGN_IN, {"username": name, "password": password})


def guess(name: str, *, times: int) -> list[int]:
    return [sign_in(name, f"guess {number}").status_code for number in range(times)]


def test_after_ten_wrong_passwords_not_even_the_right_one_is_looked_at() -> None:
    assert guess("grace", times=settings.AXES_FAILURE_LIMIT - 1) == [200] * (settings.AXES_FAILURE_LIMIT - 1)
    assert guess("grace", times=1) == [429]
    refused = sign_in("grace", PASSWORD)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "900"
    assert b"15 minutes" in refused.content


def test_others_and_the_same_name_from_elsewhere_are_not_shut_out() -> None:
    guess("grace", times=settings.AXES_FAILURE_LIMIT)

    assert sign_in("henry", PASSWORD).status_code == 302
    assert sign_in("grace", PASSWORD, address="192.0.2.2").status_code == 302


def test_after_a_quarter_of_an_hour_the_right_one_is_taken_again() -> None:
    guess("grace", times=settings.AXES_FAILURE_LIMIT)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=15, seconds=1))

    assert sign_in("grace", PASSWORD).status_code == 302


def test_a_right_password_ends_the_count() -> None:
    guess("grace", times=settings.AXES_FAILURE_LIMIT - 1)
    assert sign_in("grace", PASSWORD).status_code == 302

    assert guess("grace", times=1) == [200]


def test_no_attempt_keeps_its_password() -> None:
    guess("grace", times=1)

    (kept,) = AccessAttempt.objects.values()
    assert "guess" not in str(kept)
