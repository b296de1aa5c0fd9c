"""What a process tells of a start that another one does, and of a row that another release has written."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from accounts.licences import Licence
from gateway.leases import Lease
from provisioning import holding, launching, rows
from provisioning.errors import MESSAGES, Cause, WorkspaceFailed, meanwhile
from provisioning.flights import Flight
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.stages import StageReport, report_of
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Trouble
from provisioning.tests.drift_states import write
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace, workspace_status

pytestmark = [pytest.mark.django_db(transaction=True)]
NAME = workspace_name("demo-pro")
NO_ROOM = StageReport("scheduling", meanwhile(Cause.NO_ROOM))


@pytest.fixture
async def other(pool: None) -> AsyncIterator[Lease]:
    """The lease of another process."""
    made = Lease("other")
    await asyncio.to_thread(made.acquire)
    yield made
    await asyncio.to_thread(made.release)


class Waiting:
    """One who waits in another process, beside the flights of this one."""

    def __init__(self, licence: Licence) -> None:
        self.told: list[StageReport] = []
        self.flight = Flight(lambda flight: launching._bring_up(spec_of(licence), False, flight))
        self.task = asyncio.create_task(self.flight.follow(self._tell))

    async def _tell(self, report: StageReport) -> None:
        self.told.append(report)


async def test_who_waits_for_another_processs_start_is_told_its_trouble_and_its_failure(
    bed: Bed, pro: Licence, lease: Lease, other: Lease
) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.UNSCHEDULABLE))
    start = asyncio.create_task(ensure_workspace(pro))

    async def in_trouble() -> bool:
        row = await rows.find(NAME)
        return row is not None and row.stage_detail == NO_ROOM.detail

    await until(in_trouble)
    status = await workspace_status("demo-pro")
    holding.hold_with(other)
    waiting = Waiting(pro)
    await until(lambda: asyncio.sleep(0, NO_ROOM in waiting.told))
    holding.hold_with(lease)
    bed.cluster.plan(NAME, Plan(Trouble.INVALID_IMAGE))
    [pod] = bed.cluster.pods_of(NAME)
    bed.cluster.delete("pods", pod["metadata"]["name"])
    bed.cluster.advance(600)
    with pytest.raises(WorkspaceFailed) as failure:
        await start
    holding.hold_with(other)
    with pytest.raises(WorkspaceFailed) as heard:
        await waiting.task

    assert status.detail == NO_ROOM.detail
    assert (heard.value.cause, heard.value.detail) == (failure.value.cause, failure.value.detail)
    row = await rows.find(NAME)
    assert row is not None
    assert (row.state, row.generation, row.stage_detail) == ("failed", 1, "")


async def test_a_row_in_another_releases_words_is_told_in_our_own(pro: Licence, lease: Lease, other: Lease) -> None:
    await rows.claim_start(spec_of(pro), backend="kubernetes", holder=other.id, seen=None)
    await write("UPDATE workspaces SET stage = 'of_another'")
    waiting = Waiting(pro)
    await until(lambda: asyncio.sleep(0, bool(waiting.told)))
    starting = await workspace_status("demo-pro")
    await write("UPDATE workspaces SET state = 'failed', last_cause = 'a_cause_of_the_next_release'")
    with pytest.raises(WorkspaceFailed) as failure:
        await waiting.task

    assert waiting.told == [report_of("queued")]
    assert starting.detail == report_of("queued").detail
    assert failure.value.cause == Cause.INTERNAL
    assert (await workspace_status("demo-pro")).detail == MESSAGES[Cause.INTERNAL]
