"""A table of values that changes while workspaces run. Source: DESIGN, section 7, nothing is restarted by surprise."""

from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning import launching
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.drift_states import reconcile, settle
from provisioning.tests.test_manifests import table_of
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")
NODES = {"dexorder.io/workspaces": "true"}


def pod_of(bed: Bed) -> tuple[str, Any]:
    """The uid and the node selector of the one pod."""
    [pod] = bed.cluster.pods_of(NAME)
    return pod["metadata"]["uid"], pod["spec"].get("nodeSelector")


async def test_what_runs_stays_as_it_is_and_the_next_start_is_as_the_table_says(
    bed: Bed, pro: Licence, settings: Settings, tmp_path: Path
) -> None:
    await ensure_workspace(pro)
    before = pod_of(bed)
    table_of(settings, tmp_path, lambda table: table["tiers"]["pro"].update(node_selector=NODES))
    launching.forget_all()
    await ensure_workspace(pro)
    await settle()
    await reconcile()
    still = pod_of(bed)
    await stop_workspace("demo-pro")
    bed.cluster.advance(60)
    await ensure_workspace(pro)
    placed = pod_of(bed)
    settings.WORKSPACE_VALUES = ""
    await stop_workspace("demo-pro")
    bed.cluster.advance(60)
    await ensure_workspace(pro)

    assert before == still
    assert (before[1], placed[1], pod_of(bed)[1]) == (None, NODES, None)
