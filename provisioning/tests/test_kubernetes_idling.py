"""The idle time of a workspace that runs, on the way from the licence to the sidecar that goes by it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from provisioning.backends import kubernetes
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed, node_bed
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")


@pytest.fixture
async def node(tmp_path: Path, settings: Settings, data_dir: Path) -> AsyncIterator[Bed]:
    """A cluster whose sidecars look five times a second."""
    with node_bed(tmp_path, settings, WORKSPACE_POLL_SECONDS="0.2") as made:
        yield made
        await kubernetes.BACKEND.close()


@pytest.mark.soak
async def test_the_real_sidecar_stops_a_workspace_whose_licence_came_to_have_an_idle_time(node: Bed) -> None:
    """Source: DESIGN, section 5: enterprise never stops, pro does; the licence became a smaller one while the workspace ran."""
    await ensure_workspace(licence_of("demo-pro", idle_s=0))
    [pod] = node.ready(NAME)
    await ensure_workspace(licence_of("demo-pro", idle_s=1))
    assert node.ready(NAME) == [pod]

    async def stopped() -> bool:
        return node.replicas(NAME) == 0

    await until(stopped, within_s=60)
    stops = [call for call in node.cluster.journal.writes() if call.user.endswith(f":{NAME}")]
    assert [(call.verb, call.resource) for call in stops] == [("patch", "deployments/scale")]
