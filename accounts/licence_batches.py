"""One change of many licences, for staff: all of them or none, each with its entry in the audit."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from accounts import audit
from accounts.licences import change_event, content_of
from accounts.models import UserLicence
from accounts.tiers import FEATURES, Tier

# Rows in one UPDATE: a longer statement takes the planner longer than it saves.
BATCH = 200
# Past the year 9000 there is no date for Python.
LAST_YEAR = 9000

Edit = Callable[[UserLicence, datetime], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """How many licences were changed, and of how many there was nothing to change."""

    changed: int
    left: int


def extend_licences(user_ids: Collection[str], *, period: timedelta, actor: str) -> Batch:
    """Add `period` to what is left of each; one that has run out begins anew now, one that never does is left."""

    def extend(row: UserLicence, now: datetime) -> None:
        if row.expires_at is not None and row.expires_at.year < LAST_YEAR:
            row.expires_at = max(row.expires_at, now) + period

    return _edit(user_ids, extend, actor=actor)


def suspend_licences(user_ids: Collection[str], *, actor: str) -> Batch:
    """End each now; one that has run out is left."""

    def suspend(row: UserLicence, now: datetime) -> None:
        if row.expires_at is None or row.expires_at > now:
            row.expires_at = now

    return _edit(user_ids, suspend, actor=actor)


def change_tiers(user_ids: Collection[str], *, tier: Tier, actor: str) -> Batch:
    """Give each the tier; what differs from the tier stays. Raises ValueError for a tier that is none."""
    if tier not in FEATURES:
        raise ValueError(tier)

    def change(row: UserLicence, _now: datetime) -> None:
        row.license_type = tier

    return _edit(user_ids, change, actor=actor)


def remove_licences(user_ids: Collection[str], *, actor: str) -> int:
    """Remove the licences with their links; how many there were."""
    with transaction.atomic():
        rows = _locked(user_ids)
        events = [change_event(row.user_id, content_of(row), None, actor=actor) for row in rows]
        audit.record_all(event for event in events if event)
        UserLicence.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _edit(user_ids: Collection[str], edit: Edit, *, actor: str) -> Batch:
    changed, events = [], []
    with transaction.atomic():
        rows = _locked(user_ids)
        now = _now()
        for row in rows:
            before = content_of(row)
            edit(row, now)
            event = change_event(row.user_id, before, content_of(row), actor=actor)
            if event is not None:
                row.updated_at = now
                changed.append(row)
                events.append(event)
        UserLicence.objects.bulk_update(changed, ["license_type", "expires_at", "updated_at"], batch_size=BATCH)
        audit.record_all(events)
    return Batch(len(changed), len(rows) - len(changed))


def _locked(user_ids: Collection[str]) -> list[UserLicence]:
    # In one order everywhere, so that no two changes wait for each other.
    return list(UserLicence.objects.select_for_update().filter(pk__in=user_ids).order_by("pk"))


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
