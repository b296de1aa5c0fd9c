"""The project's own server, stopped in its tracks: replaced for who comes, started again by the kubelet where nobody does."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from provisioning.backends import kubernetes
from provisioning.backends._kubernetes.views import SERVER
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed, node_bed
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease"), pytest.mark.soak]
NAME = workspace_name("demo-pro")
# So much hastier than its manifest says is the node: 5 minutes of the kubelet's patience are 15 s.
HURRY = 20.0


@pytest.fixture
async def node(tmp_path: Path, settings: Settings, data_dir: Path) -> AsyncIterator[Bed]:
    """A cluster whose node is in a hurry."""
    with node_bed(tmp_path, settings, hurry=HURRY, WORKSPACE_POLL_SECONDS="0.2") as made:
        yield made
        await kubernetes.BACKEND.close()


def hang(node: Bed) -> tuple[str, int]:
    """Stop the server's process, so that it takes connections and answers none; its pod's uid and its pid."""
    [uid] = node.ready(NAME)
    assert isinstance(node.cluster.kubelet.runtime, Processes)
    pid = node.cluster.kubelet.runtime.pid_of(uid, SERVER)
    os.kill(pid, signal.SIGSTOP)
    return uid, pid


async def test_who_comes_has_the_server_that_hangs_replaced(node: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.HUNG_S", 1.0)
    licence = licence_of("demo-pro")
    await ensure_workspace(licence)
    hung, _ = hang(node)

    async def is_unready() -> bool:
        return not node.ready(NAME)

    await until(is_unready)
    await ensure_workspace(licence, fresh=True)

    assert len(node.ready(NAME)) == 1
    assert hung not in node.ready(NAME)


async def test_a_server_that_hangs_alone_is_started_again_and_then_stopped_by_its_sidecar(node: Bed) -> None:
    """Source: a sidecar stops no server that says nothing, and so one that hung ran for ever."""
    await ensure_workspace(licence_of("demo-pro", idle_s=1))
    hung, pid = hang(node)

    async def is_stopped() -> bool:
        return node.replicas(NAME) == 0 and not node.cluster.pods_of(NAME)

    restarts: list[int] = []

    async def is_restarted() -> bool:
        restarts.extend(
            each["restartCount"]
            for pod in node.cluster.pods_of(NAME)
            for each in pod["status"].get("containerStatuses", [])
            if pod["metadata"]["uid"] == hung
        )
        return 1 in restarts

    await until(is_restarted, within_s=90)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await until(is_stopped, within_s=60)
