"""The web chat with workspaces in a cluster, whose node runs their own server and sidecar as in their pod."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.tests.e2e.clusters import NAMESPACE, node_cluster
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.processes import Server, until
from provisioning.names import workspace_name
from provisioning.tests.cluster import Cluster
from provisioning.tests.cluster.node.processes import Processes

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
NAME = workspace_name("demo-pro")

# Longer than a machine with much to do takes between the end of a start and the turn's first request.
IDLE_S = 4


@dataclass
class Bed:
    """A cluster with a namespace for workspaces, and a gateway that may use it."""

    cluster: Cluster
    processes: Processes
    server: Server

    def replicas(self) -> int:
        """How many pods the user's Deployment shall have."""
        return int(self.cluster.get("deployments", NAME)["spec"]["replicas"])

    def stops(self) -> list[int]:
        """What the API server answered when the sidecar asked for its end."""
        sidecar = f"system:serviceaccount:{NAMESPACE}:{NAME}"
        return [call.code for call in self.cluster.journal.writes() if call.user == sidecar]


@pytest.fixture
def bed(deploy: Deploy, tmp_path: Path) -> Iterator[Bed]:
    with (
        node_cluster(tmp_path) as node,
        deploy(
            "kubernetes",
            DEFAULT_MODEL_PROVIDER="",
            DEFAULT_MODEL="",
            OPENAI_BASE_URL="",
            IDLE_TIMEOUT_PRO_S=str(IDLE_S),
            **node.settings,
        ) as deployment,
    ):
        yield Bed(node.cluster, node.processes, deployment.serve())


async def ask(page: Page, text: str, *, answers: int) -> None:
    """Ask, and wait for that many answers of the demo model on the page."""
    await page.get_by_label("Message to the agent").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer").get_by_text("demo model")).to_have_count(answers, timeout=60_000)


async def test_a_chat_starts_the_workspace_which_stops_when_idle_and_wakes_for_the_next_message(
    bed: Bed, page: Page
) -> None:
    """Source: DESIGN.md, Workspaces: stages reach the user, the sidecar scales to 0, the volume and its history stay."""
    await page.goto(f"http://localhost:{bed.server.port}/")
    await page.get_by_role("button", name="demo-pro").click()
    await ask(page, "RSI of SPX over the last 252 bars?", answers=1)
    stages = await page.evaluate("[...window.stages]")
    idle_stop = "the idle stop by the sidecar"
    await asyncio.to_thread(until, lambda: bed.replicas() == 0 and not bed.cluster.pods_of(NAME), what=idle_stop)
    stopped = bed.stops()
    await ask(page, "And of AAPL?", answers=2)

    assert [
        stage for stage in ("Finding a place", "Fetching", "Starting") if not any(stage in each for each in stages)
    ] == []
    assert stopped[-1] == 200
    assert bed.replicas() == 1
    assert bed.cluster.names("persistentvolumeclaims") == [NAME]
    assert bed.cluster.get("persistentvolumeclaims", NAME)["status"]["phase"] == "Bound"
