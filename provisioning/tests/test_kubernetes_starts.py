"""Starts on Kubernetes: DESIGN, section 7, against an API server with controllers."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from accounts.licences import Licence
from provisioning import launching, metrics, rows
from provisioning.backends._kubernetes.adjusting import AGAIN_S as ADJUST_AGAIN_S
from provisioning.backends._kubernetes.adjusting import Adjusting
from provisioning.backends._kubernetes.idling import CHANGE_IDLE_S
from provisioning.backends._kubernetes.manifests import IDLE
from provisioning.backends._kubernetes.starting import Budgets
from provisioning.backends.kubernetes import BACKEND, CHANGED
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.stages import SENTENCES, StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Gate, Plan, Refused, Trouble
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import ensure_workspace, stop_workspace, workspace_status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")


async def test_a_first_start_is_four_writes_and_no_polls(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(licence_of("demo-free"))
    bed.cluster.journal.clear()
    endpoint = await ensure_workspace(pro)

    assert endpoint.url.endswith(f"/{NAME}/mcp")
    assert dict(bed.cluster.journal.counted()) == {
        "patch serviceaccounts": 1,
        "patch persistentvolumeclaims": 1,
        "patch deployments": 1,
        "patch services": 1,
    }


async def test_a_running_workspace_costs_no_call(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    bed.cluster.journal.clear()
    await ensure_workspace(pro)
    launching.forget_all()
    await ensure_workspace(pro)

    assert bed.cluster.journal.calls == []


async def test_a_workspace_that_sleeps_is_woken_by_one_call(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await bed.scale(NAME, 0)
    bed.cluster.journal.clear()
    await ensure_workspace(pro)

    assert dict(bed.cluster.journal.counted()) == {"patch deployments": 1}
    assert len(bed.ready(NAME)) == 1


async def test_a_stop_scales_to_zero_and_keeps_the_data(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await stop_workspace("demo-pro")

    assert bed.replicas(NAME) == 0
    assert bed.cluster.names("persistentvolumeclaims") == [NAME]
    assert (await workspace_status("demo-pro")).state == State.STOPPED


async def test_fifty_callers_make_one_of_each_object(bed: Bed, pro: Licence) -> None:
    endpoints = await asyncio.gather(*(ensure_workspace(pro) for _ in range(50)))

    assert len({endpoint.url for endpoint in endpoints}) == 1
    for plural in ("deployments", "services", "persistentvolumeclaims"):
        assert bed.cluster.names(plural) == [NAME]


async def test_a_pod_that_was_replaced_is_another_instance(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    [first] = bed.ready(NAME)
    bed.cluster.delete("pods", bed.cluster.pods_of(NAME)[0]["metadata"]["name"])
    bed.cluster.advance(60)
    await bed.heard()
    await ensure_workspace(pro)

    assert bed.ready(NAME) != [first]
    row = await rows.find(NAME)
    assert row is not None
    assert row.facts["pod"] in bed.ready(NAME)


async def test_a_bigger_licence_is_given_to_a_running_workspace_without_a_restart(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", memory="1Gi", cpu="500m", storage="1Gi"))
    pods = bed.ready(NAME)
    await ensure_workspace(licence_of("demo-pro", memory="3Gi", cpu="1", storage="5Gi"))

    assert bed.ready(NAME) == pods
    [pod] = bed.cluster.pods_of(NAME)
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"memory": "3Gi", "cpu": "1"}
    volume = bed.cluster.get("persistentvolumeclaims", NAME)
    assert volume["spec"]["resources"]["requests"]["storage"] == "5Gi"


async def test_where_pods_cannot_be_resized_the_next_start_has_the_licences_limits(bed: Bed) -> None:
    bed.cluster.resizes_pods = False
    bigger = licence_of("demo-pro", memory="3Gi")
    await ensure_workspace(licence_of("demo-pro", memory="1Gi"))
    pods = bed.ready(NAME)
    await ensure_workspace(bigger)
    assert bed.ready(NAME) == pods

    await bed.scale(NAME, 0)
    bed.cluster.journal.clear()
    await ensure_workspace(bigger)
    [pod] = bed.cluster.pods_of(NAME)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "3Gi"
    assert dict(bed.cluster.journal.counted()) == {"patch deployments": 1}


async def test_a_smaller_licence_never_shrinks_a_volume(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", storage="5Gi"))
    await ensure_workspace(licence_of("demo-pro", storage="1Gi"))

    volume = bed.cluster.get("persistentvolumeclaims", NAME)
    assert volume["spec"]["resources"]["requests"]["storage"] == "5Gi"


def idle_times(bed: Bed) -> list[str]:
    """What the Deployment says, and its pod to the sidecar in it."""
    [pod] = bed.cluster.pods_of(NAME)
    return [each["metadata"]["annotations"][IDLE] for each in (bed.cluster.get("deployments", NAME), pod)]


async def test_a_workspace_that_was_never_to_stop_has_its_new_licences_idle_time_at_once(bed: Bed) -> None:
    """Source: DESIGN, section 5: enterprise never stops. Without an idle stop a smaller licence would never take effect."""
    await ensure_workspace(licence_of("demo-pro", idle_s=0))
    assert idle_times(bed) == ["0", "0"]
    pods = bed.ready(NAME)
    await ensure_workspace(licence_of("demo-pro", idle_s=600))

    assert idle_times(bed) == ["600", "600"]
    assert bed.ready(NAME) == pods


async def test_a_longer_idle_time_holds_from_the_next_start_on(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", idle_s=600))
    await ensure_workspace(licence_of("demo-pro", idle_s=0))
    assert idle_times(bed) == ["600", "600"]

    await bed.scale(NAME, 0)
    await ensure_workspace(licence_of("demo-pro", idle_s=0))
    assert idle_times(bed) == ["0", "0"]


async def test_an_idle_time_that_was_lowered_for_a_while_is_the_old_one_after_the_next_start(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", idle_s=600))
    await ensure_workspace(licence_of("demo-pro", idle_s=60))
    await ensure_workspace(licence_of("demo-pro", idle_s=600))
    assert idle_times(bed) == ["60", "60"]

    await bed.scale(NAME, 0)
    await ensure_workspace(licence_of("demo-pro", idle_s=600))
    assert idle_times(bed) == ["600", "600"]


async def test_a_change_that_waits_for_a_restart_is_told_and_a_workspace_without_pauses_gets_one(bed: Bed) -> None:
    """Source: one announced restart at the next idle stop; nothing is restarted by surprise."""
    bed.cluster.resizes_pods = False
    told: list[str] = []

    async def tell(report: StageReport) -> None:
        told.append(report.detail)

    bigger = licence_of("demo-pro", memory="3Gi", idle_s=0)
    await ensure_workspace(licence_of("demo-pro", memory="1Gi", idle_s=0), on_stage=tell)
    assert told[-1] == SENTENCES["ready"]
    await ensure_workspace(bigger, on_stage=tell)
    assert told[-1] == CHANGED
    assert idle_times(bed) == [str(CHANGE_IDLE_S)] * 2

    await bed.scale(NAME, 0)
    await ensure_workspace(bigger, on_stage=tell)
    assert told[-1] == SENTENCES["ready"]
    assert idle_times(bed) == ["0", "0"]


async def test_a_change_that_the_api_server_did_not_take_is_tried_again(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(BACKEND, "adjusting", Adjusting(clock=lambda: now[0]))
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.0)
    await ensure_workspace(licence_of("demo-pro", memory="1Gi"))
    bed.cluster.faults.add(Fault(verb="patch", resource="pods", refusal=Refused(500, "InternalError", "oops")))
    bigger = licence_of("demo-pro", memory="3Gi")
    await ensure_workspace(bigger)
    bed.cluster.journal.clear()
    await ensure_workspace(bigger)
    assert bed.cluster.journal.calls == []

    now[0] += ADJUST_AGAIN_S
    await ensure_workspace(bigger)
    [pod] = bed.cluster.pods_of(NAME)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "3Gi"


async def test_a_right_that_is_missing_for_one_change_hinders_no_other(bed: Bed) -> None:
    """Source: a role of the last release lacks what this one asks for."""
    await ensure_workspace(licence_of("demo-pro", memory="1Gi", idle_s=0))
    refusal = Refused(403, "Forbidden", 'User "x" cannot patch resource "pods"')
    bed.cluster.faults.add(Fault(verb="patch", resource="pods", subresource="", refusal=refusal))
    await ensure_workspace(licence_of("demo-pro", memory="3Gi", idle_s=600))

    [pod] = bed.cluster.pods_of(NAME)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "3Gi"
    assert idle_times(bed) == ["600", "0"]


async def test_a_volume_grows_and_nothing_else_of_it_is_written(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", storage="1Gi"))

    def others(tree: dict[str, Any]) -> None:
        tree["metadata"]["annotations"]["backup.example.com/policy"] = "daily"
        tree["metadata"]["labels"]["dexorder.io/tier"] = "set-by-hand"

    bed.cluster.edit("persistentvolumeclaims", NAME, others)
    before = bed.cluster.get("persistentvolumeclaims", NAME)
    await bed.heard()
    await ensure_workspace(licence_of("demo-pro", storage="5Gi"))

    after = bed.cluster.get("persistentvolumeclaims", NAME)
    assert after["spec"].pop("resources") == {"requests": {"storage": "5Gi"}}
    before["spec"].pop("resources")
    assert after["spec"] == before["spec"]
    assert [after["metadata"][key] for key in ("annotations", "labels")] == [
        before["metadata"][key] for key in ("annotations", "labels")
    ]


async def test_a_volume_that_somebody_has_let_grow_further_meanwhile_does_not_shrink(bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", storage="1Gi"))
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="persistentvolumeclaims", gate=gate))
    changing = asyncio.create_task(ensure_workspace(licence_of("demo-pro", storage="5Gi")))
    assert await asyncio.to_thread(gate.reached.wait, 20)
    bed.cluster.edit(
        "persistentvolumeclaims", NAME, lambda tree: tree["spec"]["resources"]["requests"].update(storage="9Gi")
    )
    gate.open()
    await changing

    volume = bed.cluster.get("persistentvolumeclaims", NAME)
    assert volume["spec"]["resources"]["requests"]["storage"] == "9Gi"


async def test_a_watch_that_lost_its_place_or_its_voice_is_taken_up_again(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.SILENT_S", 0.3)
    await ensure_workspace(pro)
    bed.cluster.silence_watches()
    await bed.scale(NAME, 0)
    bed.cluster.compact()
    bed.cluster.end_watches()
    await bed.scale(NAME, 1)
    await ensure_workspace(pro)

    assert len(bed.ready(NAME)) == 1


async def test_those_who_wait_in_line_see_their_place(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.backends.kubernetes.STARTS_AT_ONCE", 1)
    monkeypatch.setattr(BACKEND, "_lines", WeakKeyDictionary())
    told: list[str] = []

    async def tell(report: StageReport) -> None:
        told.append(report.detail)

    await asyncio.gather(*(ensure_workspace(licence_of(f"user-{number}"), on_stage=tell) for number in range(3)))

    assert {"Your workspace is number 1 in line…", "Your workspace is number 2 in line…"} <= set(told)


async def test_starts_that_wait_for_a_node_hold_up_nobody(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends.kubernetes.STARTS_AT_ONCE", 1)
    monkeypatch.setattr(BACKEND, "_lines", WeakKeyDictionary())
    monkeypatch.setattr(BACKEND, "budgets", Budgets(queue_s=10))
    bed.cluster.plan(workspace_name("demo-free"), Plan(Trouble.UNSCHEDULABLE))
    waiting = asyncio.create_task(ensure_workspace(licence_of("demo-free")))

    async def placed() -> bool:
        return workspace_name("demo-free") in bed.cluster.names("services")

    await until(placed)
    await ensure_workspace(pro)

    assert not waiting.done()
    await stop_workspace("demo-free")
    await asyncio.wait([waiting])


async def test_a_workspace_that_answers_nobody_is_replaced_when_asked_for_a_fresh_one(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.DEAF_S", 0.2)
    await ensure_workspace(pro)
    [deaf] = bed.ready(NAME)
    bed.deaf.add(deaf)
    await ensure_workspace(pro, fresh=True)

    assert deaf not in bed.ready(NAME)
    assert len(bed.ready(NAME)) == 1


async def test_a_stop_during_a_start_ends_it(bed: Bed, pro: Licence) -> None:
    bed.cluster.plan(NAME, Plan(boot_s=3600))
    starting = asyncio.create_task(ensure_workspace(pro))

    async def begun() -> bool:
        return NAME in bed.cluster.names("services")

    await until(begun)
    await stop_workspace("demo-pro")
    with pytest.raises(WorkspaceFailed) as failure:
        await starting

    assert failure.value.cause == Cause.STOPPED
    assert bed.replicas(NAME) == 0


async def test_what_runs_is_used_while_the_api_server_is_away(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a gateway that is started anew must not need the control plane for workspaces that are up."""
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.2)
    first = await ensure_workspace(pro)
    await BACKEND.close()
    launching.forget_all()
    bed.cluster.faults.add(Fault(drop=True, times=None))
    metrics.WATCH_SILENCE.labels("pods").set(-1)

    assert (await ensure_workspace(pro)).url == first.url
    assert metrics.WATCH_SILENCE.labels("pods")._value.get() >= 0
    bed.cluster.faults.clear()


async def test_a_pod_that_another_gateway_made_from_another_licence_is_looked_at_anew(bed: Bed, pro: Licence) -> None:
    """Source: a licence that goes up, down and up again, seen by one gateway at both ends only."""
    small = licence_of("demo-pro", memory="1Gi")
    await ensure_workspace(small)
    await ensure_workspace(pro)
    known = BACKEND.adjusting
    await stop_workspace("demo-pro")
    BACKEND.adjusting = Adjusting()
    await ensure_workspace(small)
    BACKEND.adjusting = known
    launching.forget_all()
    await ensure_workspace(pro)

    [pod] = bed.cluster.pods_of(NAME)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "2Gi"


async def test_a_pod_that_is_unready_for_a_moment_is_not_replaced(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a server with much to do misses a probe; its Service leads nowhere then, and its work goes on."""
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.DEAF_S", 0.2)
    await ensure_workspace(pro)
    [pod] = bed.ready(NAME)
    bed.cluster.silence_watches()
    bed.cluster.run(lambda: bed.cluster.kubelet.unready(pod, "mcp-server", "timeout"))
    asking = asyncio.create_task(ensure_workspace(pro, fresh=True))
    await until(lambda: looked_at(bed))
    bed.cluster.run(lambda: bed.cluster.kubelet.ready(pod, "mcp-server"))
    await asking

    assert bed.ready(NAME) == [pod]


async def looked_at(bed: Bed) -> bool:
    """Whether a gateway has looked at the pod itself."""
    return bool(bed.cluster.journal.of(verb="get", resource="pods"))
