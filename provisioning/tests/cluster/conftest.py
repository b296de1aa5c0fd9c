"""A cluster on a port, and the real client for it. No database and nothing of the gateway is needed here."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kubernetes.aio import client, config

from provisioning.tests.cluster import Cluster, Served, served
from provisioning.tests.cluster.wire import Wire, access_to, own_namespace


@pytest.fixture(autouse=True)
def _development() -> None:
    """The gateway's settings don't matter here."""


@pytest.fixture(autouse=True)
def _nothing_stays() -> None:
    """Nothing but the cluster runs here."""


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def api(cluster: Cluster, tmp_path: Path) -> Iterator[Served]:
    with served(cluster, tmp_path) as running:
        yield running


@pytest.fixture
async def kube(api: Served) -> AsyncIterator[client.ApiClient]:
    """The administrator's client."""
    async with await client_for(api) as made:
        yield made


async def client_for(api: Served, token: str = "") -> client.ApiClient:
    """A client for a service account's token, the administrator's without one."""
    settings = client.Configuration()
    await config.load_kube_config(config_file=str(api.kubeconfig(token)), client_configuration=settings)  # type: ignore[no-untyped-call]  # of the client
    return client.ApiClient(settings)


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """The administrator's bare HTTP client: of this test's cluster, or of the real server of TEST_KUBECONFIG."""
    marker = request.node.get_closest_marker("any_server")
    if marker and "TEST_KUBECONFIG" in os.environ:
        with own_namespace(Path(os.environ["TEST_KUBECONFIG"])) as real:
            real.skip_before(marker.kwargs.get("since", 0))
            yield real
        return
    made = Wire(access_to(request.getfixturevalue("api")))
    yield made
    made.close()
