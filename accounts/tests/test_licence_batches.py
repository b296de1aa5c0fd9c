"""Many licences at once, by several members of staff at once. Source: docs/security.md, Who did what."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from accounts.licence_batches import change_tiers, extend_licences, remove_licences, suspend_licences
from accounts.models import AuditEntry, UserLicence

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def test_what_two_add_at_once_is_added_twice() -> None:
    began = timezone.now() + DAY
    users = [UserLicence.objects.create(user_id=f"u{n}", license_type="pro", expires_at=began).pk for n in range(20)]

    def extend(order: int) -> None:
        try:
            extend_licences(users[::order], period=DAY, actor=f"staff:{order}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(extend, [1, -1, 1, -1]))

    assert set(UserLicence.objects.values_list("expires_at", flat=True)) == {began + 4 * DAY}
    assert AuditEntry.objects.count() == 80


def test_a_licence_that_never_ends_in_any_calendar_is_left() -> None:
    far = timezone.now().replace(year=9990)
    UserLicence.objects.create(user_id="ada", license_type="pro", expires_at=far)

    assert extend_licences(["ada"], period=3650 * DAY, actor="staff:grace").left == 1


def test_users_without_a_licence_are_passed_over() -> None:
    assert suspend_licences(["nobody"], actor="staff:grace").changed == 0
    assert remove_licences(["nobody"], actor="staff:grace") == 0
    assert not AuditEntry.objects.exists()


def test_a_tier_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="platinum"):
        change_tiers(["ada"], tier="platinum", actor="staff:grace")  # type: ignore[arg-type]
