"""The marks that a workspace is wanted, where several processes serve its user."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.licences import Licence
from gateway.ids import new_uuid
from provisioning.backends._kubernetes.demand import Demand
from provisioning.backends._kubernetes.manifests import DEMAND
from provisioning.backends.kubernetes import BACKEND
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.gateways import gateway_keeper, until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")


@pytest.mark.parametrize(("written_ago_s", "writes"), [(0, 0), (3000, 1)])
async def test_a_workspace_that_another_process_has_marked_costs_no_call_while_that_mark_is_good(
    written_ago_s: int, writes: int, bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: DESIGN, section 7; every replica of the gateway may serve a user. A watch that had broken off tells late."""
    await ensure_workspace(pro)
    monkeypatch.setattr(BACKEND, "demand", Demand())
    when = datetime.now(UTC) - timedelta(seconds=written_ago_s)
    mark = {DEMAND: f"{when.isoformat(timespec='seconds')} {new_uuid()} {new_uuid()}"}
    bed.cluster.edit("deployments", NAME, lambda tree: tree["metadata"]["annotations"].update(mark))
    await bed.heard()
    bed.cluster.journal.clear()
    await ensure_workspace(pro)

    assert len(bed.cluster.journal.writes()) == writes


async def test_a_process_remembers_no_mark_of_a_workspace_that_its_sidecar_has_stopped(bed: Bed, pro: Licence) -> None:
    """Source: a process that serves many users for weeks kept one of each workspace that it had ever marked."""
    async with gateway_keeper():
        await ensure_workspace(pro)
        assert BACKEND.demand.remembered == {NAME}
        await bed.scale(NAME, 0)

        async def forgotten() -> bool:
            return not BACKEND.demand.remembered

        await until(forgotten)


async def test_a_mark_that_was_there_before_this_process_came_says_nothing_of_its_age(bed: Bed, pro: Licence) -> None:
    """Source: the clock of the process that wrote it may be wrong."""
    await ensure_workspace(pro)
    mark = {DEMAND: f"{datetime.now(UTC).isoformat(timespec='seconds')} {new_uuid()} {new_uuid()}"}
    bed.cluster.edit("deployments", NAME, lambda tree: tree["metadata"]["annotations"].update(mark))
    await BACKEND.close()
    BACKEND.demand.forget(NAME)
    bed.cluster.journal.clear()
    await ensure_workspace(pro)

    assert [call.verb for call in bed.cluster.journal.writes()] == ["patch"]
