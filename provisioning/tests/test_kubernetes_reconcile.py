"""Drift between the table and the cluster, healed within one reconcile; no volume is ever lost by it."""

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from gateway.ids import new_uuid
from provisioning import launching, metrics, rows
from provisioning.backends import Finding
from provisioning.backends._kubernetes.drift import Action
from provisioning.backends._kubernetes.reconciling import A_TURN, in_turns
from provisioning.idle_times import ENDED_IDLE_S
from provisioning.models import State, Workspace
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Fault, Gate, Plan
from provisioning.tests.drift_states import (
    DAY,
    HOUR,
    LOSSES,
    NAME,
    OLD,
    STATES,
    USER,
    Inject,
    annotated,
    deleted,
    forget_row,
    idle_times,
    licence_ended,
    licence_is_removed,
    reconcile,
    scaled,
    settle,
    volume_is_lost,
    volume_lets_go,
    write,
)
from provisioning.tests.gateways import gateway_keeper, licence_of, until
from provisioning.workspaces import delete_workspace, ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]


def volumes(bed: Bed) -> list[str]:
    return [tree["metadata"]["uid"] for tree in bed.cluster.objects(VOLUMES)]


@pytest.mark.parametrize(
    ("injected", "actions"),
    [each[1:] for each in (*STATES, *LOSSES)],
    ids=[each[0] for each in (*STATES, *LOSSES)],
)
async def test_a_drift_is_healed_within_one_reconcile_and_no_volume_is_lost(
    injected: list[Inject], actions: set[Action], bed: Bed
) -> None:
    await ensure_workspace(licence_of(USER))
    for inject in injected:
        await inject(bed)
    there = volumes(bed)
    await settle()
    await bed.heard()
    expected = {Action(finding.done) for finding in await reconcile(dry_run=True)}
    before = await rows.find(NAME)
    found = await reconcile()
    await bed.heard()
    await settle()

    assert expected - {Action.REPORT} == actions
    assert {Action(finding.done) for finding in found} == expected
    assert before is None or before.name == NAME
    assert {Action(finding.done) for finding in await reconcile(dry_run=True)} <= {Action.REPORT}
    assert volumes(bed) == there


async def found_after(bed: Bed, *injected: Inject) -> set[str]:
    """What a dry run tells of a workspace that ran until this happened."""
    await ensure_workspace(licence_of(USER))
    for inject in injected:
        await inject(bed)
    await settle()
    await bed.heard()
    return {finding.found for finding in await reconcile(dry_run=True)}


async def test_a_volume_that_goes_is_told_while_it_can_still_be_saved(bed: Bed) -> None:
    """Source: whoever deletes a claim that is in use has until its pod ends."""
    assert await found_after(bed, deleted(VOLUMES)) == {"its volume is being deleted"}


async def test_a_volume_that_is_gone_is_told(bed: Bed) -> None:
    assert await found_after(bed, volume_lets_go) == {"its volume is gone"}


@pytest.mark.soak
@pytest.mark.parametrize("injected", [each[1] for each in STATES], ids=[each[0] for each in STATES])
async def test_after_any_drift_the_next_start_serves(injected: list[Inject], bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    for inject in injected:
        await inject(bed)
    bed.cluster.plans.clear(NAME)
    await bed.heard()
    launching.forget_all()
    starting = asyncio.create_task(ensure_workspace(licence_of(USER), fresh=True))
    while not starting.done():
        bed.cluster.advance(1)
        await asyncio.sleep(0.01)
    await starting

    row = await rows.find(NAME)
    assert row is not None
    assert row.state == State.READY
    assert row.facts["pod"] in bed.ready(NAME)
    assert bed.cluster.names("services") == [NAME]


async def test_a_dry_run_changes_nothing(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await bed.scale(NAME, 3)
    await settle()
    bed.cluster.journal.clear()
    [finding] = await reconcile(dry_run=True)

    assert finding == Finding(NAME, USER, "3 pods for one volume", "scale it to 1")
    assert bed.cluster.journal.calls == []


async def test_what_somebody_is_at_work_on_is_left_alone(bed: Bed) -> None:
    """Source: a scan takes time, and a start under way looks like drift."""
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="services", gate=gate))
    starting = asyncio.create_task(ensure_workspace(licence_of(USER)))
    await asyncio.to_thread(gate.reached.wait, 20)

    assert await reconcile() == []
    gate.open()
    await starting


async def test_a_row_that_changed_a_moment_ago_is_left_alone(bed: Bed) -> None:
    """Source: our watch may not have told yet what another gateway has done."""
    await ensure_workspace(licence_of(USER))
    await bed.scale(NAME, 0)

    assert await reconcile() == []


async def test_what_changes_between_the_look_and_the_write_wins(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await bed.scale(NAME, 3)
    await settle()
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", gate=gate))
    reconciling = asyncio.create_task(reconcile())
    await asyncio.to_thread(gate.reached.wait, 20)
    await annotated(demand="somebody else")(bed)
    gate.open()
    [finding] = await reconciling

    assert finding.done == "nothing: it has changed meanwhile"
    assert bed.replicas(NAME) == 3


@pytest.mark.parametrize("deleted_too", [False, True])
async def test_what_is_stopped_or_deleted_before_it_is_mended_is_not_woken(deleted_too: bool, bed: Bed) -> None:
    """Source: what was judged while it ran was placed anew, also by the process that had just stopped it."""
    await ensure_workspace(licence_of(USER))
    bed.cluster.delete("serviceaccounts", NAME)
    bed.cluster.delete("services", NAME)
    # So that there is something to do before.
    await annotated(orphaned=OLD)(bed)
    await settle()
    await bed.heard()
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", gate=gate))
    reconciling = asyncio.create_task(reconcile())
    await asyncio.to_thread(gate.reached.wait, 20)
    await (delete_workspace(USER, with_data=False) if deleted_too else stop_workspace(USER))
    gate.open()
    mended = {finding.found: finding.done for finding in await reconciling}

    assert mended["runs without all of its objects"] == "nothing: it has changed meanwhile"
    assert bed.cluster.names("services") == []
    assert bed.cluster.names("deployments") == ([] if deleted_too else [NAME])
    assert deleted_too or bed.replicas(NAME) == 0


async def test_mending_writes_nothing_to_the_deployment(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    bed.cluster.delete("serviceaccounts", NAME)
    bed.cluster.delete("services", NAME)
    await settle()
    await bed.heard()
    bed.cluster.journal.clear()
    await reconcile()

    assert {call.resource for call in bed.cluster.journal.writes()} == {"services", "serviceaccounts"}
    assert len(bed.ready(NAME)) == 1


async def test_two_gateways_that_reconcile_at_once_do_no_harm(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await bed.scale(NAME, 3)
    await settle()
    await asyncio.gather(reconcile(), reconcile())

    assert bed.replicas(NAME) == 1


async def test_data_past_the_term_of_their_licence_are_told_and_kept(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await stop_workspace(USER)
    await write("UPDATE user_licenses SET expires_at = clock_timestamp() - interval '91 days'")
    await settle()

    [finding] = await reconcile()
    assert (finding.found, finding.done) == ("data past the term of their licence", Action.REPORT.value)
    assert bed.cluster.names(VOLUMES) == [NAME]


async def test_the_term_of_data_whose_licence_was_removed_counts_from_when_that_was_seen(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await stop_workspace(USER)
    await licence_is_removed(bed)
    await settle()
    [noted] = await reconcile()
    assert noted.done == Action.MARK_ENDED.value
    assert await reconcile() == []

    await annotated(ended=(datetime.now(UTC) - 91 * DAY).isoformat())(bed)
    await bed.heard()
    [finding] = await reconcile()
    assert (finding.found, finding.done) == ("data past the term of their licence", Action.REPORT.value)


async def test_a_licence_that_ended_lets_the_sidecar_stop_a_workspace_that_was_never_to_stop(bed: Bed) -> None:
    """Source: DESIGN, section 7: stops at idle. Only the sidecar sees what is at work: the gateway does not cut it off."""
    await ensure_workspace(licence_of(USER, idle_s=0))
    await licence_ended(HOUR)(bed)
    await settle()
    await reconcile()

    assert bed.replicas(NAME) == 1
    assert idle_times(bed) == {str(ENDED_IDLE_S)}


async def half_stopped(bed: Bed, *users: str) -> None:
    """Workspaces whose stop a gateway that is gone has left half done; the pod of the first does not end."""
    for user in users:
        await ensure_workspace(licence_of(user))
    bed.cluster.plan(workspace_name(users[0]), Plan(stop_s=10**6))
    await write("UPDATE workspaces SET state = 'stopping', holder = %s", new_uuid())


async def test_a_pod_that_does_not_end_hinders_no_other_workspace(bed: Bed) -> None:
    """Source: the kubelet of a node that is gone never says that a pod has ended."""
    others = [f"user-{number}" for number in range(3)]
    await half_stopped(bed, USER, *others)
    reconciling = asyncio.create_task(reconcile())

    async def others_are_stopped() -> bool:
        found = [await rows.find(workspace_name(user)) for user in others]
        return all(row is not None and row.state == State.STOPPED for row in found)

    await until(others_are_stopped)
    assert not reconciling.done()
    bed.cluster.advance(10**6)
    assert {finding.done for finding in await reconciling} == {Action.FINISH.value}


async def test_a_pod_that_does_not_end_is_told_when_the_time_of_a_pass_is_over(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.reconciling.BUDGET_S", 0.5)
    await half_stopped(bed, USER)
    [finding] = await reconcile()
    assert finding.done == f"{Action.FINISH.value}: not within this pass"

    monkeypatch.undo()
    bed.cluster.advance(10**6)
    assert [finding.done for finding in await reconcile()] == [Action.FINISH.value]


async def test_what_changed_since_it_was_judged_is_not_deleted(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await scaled(bed, 0)
    await annotated(orphaned=OLD)(bed)
    await forget_row(bed)
    await bed.heard()
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="delete", resource="deployments", gate=gate))
    reconciling = asyncio.create_task(reconcile())
    await asyncio.to_thread(gate.reached.wait, 20)
    await annotated(demand="somebody came back")(bed)
    gate.open()
    findings = await reconciling

    assert "nothing: it has changed meanwhile" in {finding.done for finding in findings}
    assert bed.cluster.names("deployments") == bed.cluster.names("services") == [NAME]


async def test_what_is_left_to_people_is_logged_when_it_comes_up_and_counted_while_it_is_there(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    await volume_is_lost(bed)
    await settle()
    await bed.heard()
    with capture_logs() as logs:
        for _ in range(3):
            await reconcile()

    assert [log["found"] for log in logs if log["event"] == "workspace_needs_a_look"] == ["its volume is Lost"]
    assert not [log for log in logs if log["event"] == "workspace_drift"]
    assert metrics.FINDINGS.labels("its volume is Lost")._value.get() == 1

    bed.cluster.edit(VOLUMES, NAME, lambda tree: tree["status"].update(phase="Bound"))
    await bed.heard()
    await reconcile()
    assert metrics.FINDINGS.labels("its volume is Lost")._value.get() == 0


async def test_a_gateway_notes_within_a_second_that_a_sidecar_has_stopped_its_workspace(bed: Bed) -> None:
    async with gateway_keeper():
        await ensure_workspace(licence_of(USER))
        await bed.scale(NAME, 0)

        async def noted() -> bool:
            return (await Workspace.objects.aget(name=NAME)).state == State.STOPPED

        await until(noted)


async def test_a_gateway_that_stops_leaves_its_workspaces_running(bed: Bed) -> None:
    async with gateway_keeper():
        await ensure_workspace(licence_of(USER))

    assert bed.replicas(NAME) == 1
    row = await rows.find(NAME)
    assert row is not None
    assert row.state == State.READY


async def test_deleting_takes_all_but_the_data_which_the_gateways_own_account_may_not_delete(bed: Bed) -> None:
    await ensure_workspace(licence_of(USER))
    assert await delete_workspace(USER, with_data=False)

    assert bed.cluster.names("deployments") == bed.cluster.names("services") == []
    assert bed.cluster.names(VOLUMES) == [NAME]
    assert spec_of(licence_of(USER)).name == NAME


async def test_a_pass_over_thousands_leaves_the_event_loop_its_turns() -> None:
    """Source: one over 5,000 held up every token that was streamed meanwhile for half a second."""
    turns = 0

    async def stream() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    streaming = asyncio.create_task(stream())
    told = [(each, turns) async for each in in_turns(range(4 * A_TURN))]
    streaming.cancel()

    assert [each for each, _ in told] == list(range(4 * A_TURN))
    assert [told[number * A_TURN][1] for number in range(4)] == [0, 1, 2, 3]
