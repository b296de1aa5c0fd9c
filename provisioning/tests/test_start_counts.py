"""Cold starts are counted by day, each once, with the settlement of the start. Source: docs/operations.md, The admin."""

import asyncio
from uuid import uuid4

import pytest

from provisioning import rows
from provisioning.backends import Spec
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import WorkspaceDay
from provisioning.rows import ClaimLost

pytestmark = pytest.mark.usefixtures("pool")
MS = {"queued": 3, "starting": 800}


def spec(number: int = 0) -> Spec:
    return Spec(name=f"ws-{number}", user_id=f"user-{number}", tier="pro", idle_s=60)


async def claim(number: int = 0) -> rows.Claim:
    found = await rows.find(spec(number).name)
    claimed = await rows.claim_start(spec(number), backend="process", holder=uuid4(), seen=found)
    assert claimed is not None
    return claimed


async def counted() -> list[tuple[int, int, int]]:
    return [(row.starts, row.failed_starts, row.start_ms) async for row in WorkspaceDay.objects.all()]


async def test_each_start_and_each_failure_counts_once() -> None:
    await rows.settle_ready(await claim(), owner=None, stage_ms=MS)
    await rows.settle_failed(await claim(), WorkspaceFailed(Cause.NEVER_READY))
    await rows.settle_ready(await claim(), owner=None, stage_ms=MS)

    assert await counted() == [(2, 1, 1606)]


async def test_a_start_that_was_taken_over_does_not_count() -> None:
    lost = await claim()
    await claim()

    with pytest.raises(ClaimLost):
        await rows.settle_ready(lost, owner=None, stage_ms=MS)
    with pytest.raises(ClaimLost):
        await rows.settle_failed(lost, WorkspaceFailed(Cause.NEVER_READY))

    assert await counted() == []


async def test_a_workspace_that_is_stopped_is_no_start() -> None:
    await rows.settle_stopped(await claim())

    assert await counted() == []


async def test_starts_of_many_users_at_once_all_count() -> None:
    claims = [await claim(number) for number in range(20)]

    await asyncio.gather(*(rows.settle_ready(each, owner=None, stage_ms=MS) for each in claims))

    assert await counted() == [(20, 0, 20 * 803)]
