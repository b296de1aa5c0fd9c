"""Workspace minutes. Source: docs/operations.md, Limits and usage."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from accounts.licences import Licence
from accounts.usage import total, usage_of
from gateway import db
from gateway.leases import Lease
from provisioning.backends.process import BACKEND
from provisioning.names import workspace_name
from provisioning.tests.gateways import gateway_keeper
from provisioning.timekeeping import MOST_S, count_owned, count_rest
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool")]

NAME = workspace_name("demo-pro")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).date()
# How much later than it was made a row may be looked at on a slow machine.
SLACK_S = 10


async def counted_s() -> int:
    return total(await usage_of("demo-pro", since=LONG_AGO)).workspace_s


async def let_run(seconds: int) -> None:
    """Have the workspace have run so much longer."""
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE workspaces SET since = since - %(s)s * interval '1 s', counted_at = counted_at - %(s)s * interval '1 s'",
            {"s": seconds},
        )


async def test_time_is_counted_once_however_often_it_is_looked_at(code: Path, pro: Licence, lease: Lease) -> None:
    await ensure_workspace(pro)
    await let_run(60)
    for _ in range(3):
        await count_owned(lease.id, backend=BACKEND.name)
    assert 60 <= await counted_s() < 60 + SLACK_S

    await let_run(60)
    await count_owned(lease.id, backend=BACKEND.name)

    assert 120 <= await counted_s() < 120 + 2 * SLACK_S
    await stop_workspace("demo-pro")


async def test_a_stop_counts_the_rest(code: Path, pro: Licence) -> None:
    async with gateway_keeper():
        await ensure_workspace(pro)
        await let_run(30)
        await stop_workspace("demo-pro")
        await count_rest(NAME)

    assert 30 <= await counted_s() < 30 + SLACK_S


async def test_a_workspace_that_nobody_looked_after_is_counted_for_two_minutes_at_the_most(
    code: Path, pro: Licence, lease: Lease
) -> None:
    await ensure_workspace(pro)
    await let_run(8 * 3600)
    await count_owned(lease.id, backend=BACKEND.name)
    await count_owned(lease.id, backend=BACKEND.name)

    assert MOST_S <= await counted_s() < MOST_S + SLACK_S
    await stop_workspace("demo-pro")


async def test_another_processs_workspaces_are_left_to_it(code: Path, pro: Licence, lease: Lease) -> None:
    await ensure_workspace(pro)
    await let_run(60)
    async with db.connection() as conn:
        await conn.execute("UPDATE workspaces SET backend = 'another'")
    await count_owned(lease.id, backend=BACKEND.name)

    assert await counted_s() == 0
    async with db.connection() as conn:
        await conn.execute("UPDATE workspaces SET backend = %s", (BACKEND.name,))
    await stop_workspace("demo-pro")
