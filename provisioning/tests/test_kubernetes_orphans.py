"""Workspaces that no row of the database knows: nobody's work is cut off, and no data are lost."""

import pytest
from structlog.testing import capture_logs

from provisioning import launching
from provisioning.backends._kubernetes.drift import Action
from provisioning.idle_times import ENDED_IDLE_S
from provisioning.names import workspace_name
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.drift_states import (
    NAME,
    OLD,
    USER,
    annotated,
    forget_row,
    idle_times,
    reconcile,
    scaled,
    settle,
)
from provisioning.tests.gateways import licence_of
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]


async def test_an_orphan_of_seven_days_goes_and_its_data_stay(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await scaled(bed, 0)
    await annotated(orphaned=OLD)(bed)
    await forget_row(bed)
    await bed.heard()
    await reconcile()

    assert [bed.cluster.names(plural) for plural in ("deployments", "services", "serviceaccounts")] == [
        [],
        [],
        ["default"],
    ]
    assert bed.cluster.names(VOLUMES) == [NAME]


async def test_a_database_that_knows_none_of_them_cuts_off_nothing_that_runs(bed: Bed) -> None:
    """Source: an older database, or another installation's, in place of the right one; work in flight was cut everywhere."""
    users = [USER, *(f"user-{number}" for number in range(3))]
    for user in users:
        await ensure_workspace(licence_of(user))
    running = {name: bed.ready(name) for name in map(workspace_name, users)}
    await forget_row(bed)
    with capture_logs() as logs:
        for _ in range(2):
            await reconcile()
            await bed.heard()

    assert {name: bed.ready(name) for name in running} == running
    assert idle_times(bed) == {str(ENDED_IDLE_S)}
    told = [log for log in logs if log["event"] == "workspaces_unknown_to_the_database"]
    assert [(log["unknown"], log["running"]) for log in told] == [(4, 4)]


async def test_an_orphan_that_has_run_for_a_day_is_scaled_to_0_and_kept_for_another_week(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await annotated(orphaned=OLD)(bed)
    await forget_row(bed)
    await bed.heard()
    assert Action.STOP_ORPHAN in {finding.done for finding in await reconcile()}
    await bed.heard()

    assert bed.replicas(NAME) == 0
    assert {finding.done for finding in await reconcile()} == {Action.REPORT.value}


async def test_whoever_comes_to_an_orphan_joins_it_and_it_is_none_any_more(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    there = bed.ready(NAME)
    await forget_row(bed)
    await reconcile()
    await bed.heard()
    launching.forget_all()
    await ensure_workspace(licence_of(USER))
    await settle()
    await bed.heard()

    assert bed.ready(NAME) == there
    assert await reconcile() == []
