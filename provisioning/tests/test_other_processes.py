"""What a process tells of a start that another one does, and of a row that another release has written."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from gateway.leases import Lease
from provisioning import rows
from provisioning.errors import MESSAGES, Cause, WorkspaceFailed, meanwhile
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.stages import StageReport, report_of
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Trouble
from provisioning.tests.drift_states import write
from provisioning.tests.gateways import until
from provisioning.tests.test_kubernetes_crashes import started
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


@dataclass
class Waiting:
    """One who waits in this process for what another one does."""

    licence: Licence
    told: list[StageReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(ensure_workspace(self.licence, on_stage=self._tell))

    async def heard_of(self, report: StageReport) -> None:
        """Return when the stage was told."""
        await until(lambda: asyncio.sleep(0, report in self.told))

    async def _tell(self, report: StageReport) -> None:
        self.told.append(report)


@pytest.fixture
def starting(bed: Bed, data_dir: Path, settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """Another gateway process, which starts the workspace of demo-pro and waits for it; there is no room for its pod."""
    bed.cluster.plan(NAME, Plan(Trouble.UNSCHEDULABLE))
    process = started("fresh", data_dir, settings)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    yield process
    process.kill()
    process.communicate()


async def row_tells(detail: str) -> bool:
    row = await rows.find(NAME)
    return row is not None and row.stage_detail == detail


async def test_who_waits_for_another_processs_start_is_told_its_trouble_and_its_failure(
    bed: Bed, pro: Licence, lease: Lease, starting: "subprocess.Popen[str]"
) -> None:
    await until(lambda: row_tells(NO_ROOM.detail), within_s=60)
    status = await workspace_status("demo-pro")
    waiting = Waiting(pro)
    await waiting.heard_of(NO_ROOM)
    bed.cluster.plan(NAME, Plan(Trouble.INVALID_IMAGE))
    [pod] = bed.cluster.pods_of(NAME)
    bed.cluster.delete("pods", pod["metadata"]["name"])
    bed.cluster.advance(600)
    with pytest.raises(WorkspaceFailed) as heard:
        await waiting.task

    row = await rows.find(NAME)
    assert row is not None
    assert status.detail == NO_ROOM.detail
    assert (heard.value.cause, heard.value.detail) == (Cause.IMAGE_NAME, row.last_detail)
    assert (row.state, row.generation, row.last_cause, row.stage_detail) == ("failed", 1, Cause.IMAGE_NAME, "")
    assert await asyncio.to_thread(starting.wait, 60) == 1


async def test_a_row_in_another_releases_words_is_told_in_our_own(pro: Licence, lease: Lease, other: Lease) -> None:
    await rows.claim_start(spec_of(pro), backend="kubernetes", holder=other.id, seen=None)
    await write("UPDATE workspaces SET stage = 'of_another'")
    waiting = Waiting(pro)
    await until(lambda: asyncio.sleep(0, bool(waiting.told)))
    status = await workspace_status("demo-pro")
    await write("UPDATE workspaces SET state = 'failed', last_cause = 'a_cause_of_the_next_release'")
    with pytest.raises(WorkspaceFailed) as failure:
        await waiting.task

    assert waiting.told == [report_of("queued")]
    assert status.detail == report_of("queued").detail
    assert failure.value.cause == Cause.INTERNAL
    assert (await workspace_status("demo-pro")).detail == MESSAGES[Cause.INTERNAL]
