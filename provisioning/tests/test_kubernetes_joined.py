"""A pod that runs may serve others: what one gateway can't reach, or finds unready, is neither replaced nor stopped."""

import asyncio
import socket
from dataclasses import replace

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning import rows
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes import judging
from provisioning.backends._kubernetes.drift import Action
from provisioning.backends._kubernetes.starting import Budgets
from provisioning.backends._kubernetes.views import SERVER, ContainerView
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.drift_states import reconcile, row_says, settle, write
from provisioning.tests.gateways import licence_of, until, waits_for_a_silent_server
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes.BACKEND, "budgets", Budgets(boot_s=1.0))
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.DEAF_S", 0.3)


async def reached_at(settings: Settings, template: str) -> None:
    """From now on this gateway goes to another address, where nothing is, or something else."""
    settings.WORKSPACE_ENDPOINT_TEMPLATE = template
    await write("UPDATE workspaces SET url = %s", template.format(name=NAME))


async def refused_fresh(licence: Licence) -> WorkspaceFailed:
    """Why a caller that could not reach the workspace is not given one."""
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(licence, fresh=True)
    return failure.value


async def test_a_gateway_that_has_lost_its_names_leaves_the_pod_to_others(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    await ensure_workspace(pro)
    pods = bed.ready(NAME)
    await reached_at(settings, "http://{name}.no-such-zone.invalid:8000/mcp")
    failure = await refused_fresh(pro)

    assert failure.cause == Cause.NEVER_READY
    assert "this gateway has no connection" in failure.detail
    assert (bed.ready(NAME), bed.replicas(NAME)) == (pods, 1)


async def test_a_gateway_that_has_no_way_to_the_pod_leaves_it_to_others(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    await ensure_workspace(pro)
    pods = bed.ready(NAME)
    with socket.socket() as nobody:
        # Bound, so that nobody else gets it, and nobody listens.
        nobody.bind(("127.0.0.1", 0))
        await reached_at(settings, f"http://127.0.0.1:{nobody.getsockname()[1]}/{{name}}/mcp")
        failure = await refused_fresh(pro)

    assert "this gateway has no connection" in failure.detail
    assert (bed.ready(NAME), bed.replicas(NAME)) == (pods, 1)


async def test_a_server_that_does_not_take_our_token_is_told_so_and_left_running(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    """Source: a gateway with another key, or whose clock is wrong, took every workspace for deaf."""
    await ensure_workspace(pro)
    pods = bed.ready(NAME)
    # Another user's server, which answers 401.
    await ensure_workspace(licence_of("demo-free"))
    await reached_at(settings, settings.WORKSPACE_ENDPOINT_TEMPLATE.format(name=workspace_name("demo-free")))
    failure = await refused_fresh(pro)

    assert failure.cause == Cause.DENIED
    assert "WORKSPACE_SIGNING_KEY" in failure.detail
    assert (bed.ready(NAME), bed.replicas(NAME)) == (pods, 1)


def uid_of(bed: Bed) -> str:
    """The uid of the only pod."""
    [pod] = bed.cluster.pods_of(NAME)
    return str(pod["metadata"]["uid"])


async def works_unready(bed: Bed) -> str:
    """The server's probe fails while it is at work; the pod's uid."""
    uid = uid_of(bed)
    bed.cluster.run(lambda: bed.cluster.kubelet.unready(uid, SERVER, "timeout"))
    await bed.heard()
    return uid


async def test_a_server_that_once_ran_out_of_memory_is_joined_while_it_runs_again(bed: Bed, pro: Licence) -> None:
    """Source: `lastState` stays for the pod's life, and a start took it for what is in the way now."""
    await ensure_workspace(pro)
    bed.cluster.crash(NAME, code=137, reason="OOMKilled")
    bed.cluster.advance(60)
    await bed.heard()
    pod = await works_unready(bed)
    starting = asyncio.create_task(ensure_workspace(pro))
    await until(waits_for_a_silent_server)
    bed.cluster.run(lambda: bed.cluster.kubelet.ready(pod, SERVER))
    await starting

    assert bed.ready(NAME) == [pod]


def test_only_the_servers_own_want_of_memory_is_told_as_that() -> None:
    """Source: of a sidecar that is killed for its memory no licence is to blame."""
    ended = ContainerView(SERVER, False, "", "", "OOMKilled", 137, 1)
    sidecars = replace(ended, name="lifecycle-sidecar")
    working = replace(ended, running=True)

    assert [causes_of(each) for each in (ended, sidecars, working)] == [
        [(Cause.OUT_OF_MEMORY, True)],
        [(Cause.CRASHED, False)],
        [],
    ]


def causes_of(container: ContainerView) -> list[tuple[Cause, bool]]:
    """What the state of one container says."""
    return [(trouble.cause, trouble.grave) for trouble in judging.troubles_of(container)]


@pytest.mark.parametrize("state", [State.FAILED, State.STOPPED, State.STARTING])
async def test_a_reconcile_leaves_a_server_running_that_is_not_ready(state: State, bed: Bed, pro: Licence) -> None:
    """Source: a start that joined it ran out of time, or its gateway died, while another's work was being done."""
    await ensure_workspace(pro)
    pod = await works_unready(bed)
    await row_says(state)
    await settle()
    found = [finding.done for finding in await reconcile()]
    row = await rows.find(NAME)

    assert found == [Action.ADOPT.value]
    assert (uid_of(bed), bed.replicas(NAME)) == (pod, 1)
    assert row is not None
    assert (row.state, row.facts["pod"]) == (State.READY, pod)


async def test_a_replacement_that_nobody_reaches_either_is_not_scaled_to_0(bed: Bed, pro: Licence) -> None:
    """Source: what answers nobody here may have served others, as its replacement may."""
    await ensure_workspace(pro)
    [deaf] = bed.ready(NAME)
    bed.deaf = _Everyone()
    failure = await refused_fresh(pro)

    assert failure.cause == Cause.NEVER_READY
    assert deaf not in bed.ready(NAME)
    assert (len(bed.ready(NAME)), bed.replicas(NAME)) == (1, 1)


class _Everyone(set[str]):
    def __contains__(self, _: object) -> bool:
        return True
