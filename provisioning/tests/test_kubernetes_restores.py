"""A user's volume that an operator restores. Source: docs/operations.md, Restore."""

from io import StringIO
from typing import Any

import pytest
import yaml
from asgiref.sync import sync_to_async
from django.core.management import call_command

from accounts.licences import Licence
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")


@sync_to_async
def rendered(*arguments: str) -> dict[str, Any]:
    """The one object that the command prints."""
    output = StringIO()
    call_command("workspace", "render", "demo-pro", "--volume", *arguments, stdout=output)
    [tree] = yaml.safe_load_all(output.getvalue())
    assert isinstance(tree, dict)
    return tree


async def test_a_volume_that_is_restored_as_it_is_printed_is_the_users(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await stop_workspace("demo-pro")
    bed.cluster.advance(60)
    bed.cluster.delete(VOLUMES, NAME)
    lost = bed.cluster.names(VOLUMES)
    tree = await rendered("--from-snapshot", "monday", "--storage", "50Gi")
    bed.cluster.create(tree)
    await ensure_workspace(pro)

    claim = bed.cluster.get(VOLUMES, NAME)
    assert lost == []
    assert claim["spec"]["dataSource"] == {
        "apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot",
        "name": "monday",
    }
    # Larger than the licence gives: what had grown does not shrink.
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert len(bed.ready(NAME)) == 1


async def test_one_that_is_restored_into_a_cluster_without_the_workspace_is_found(bed: Bed, pro: Licence) -> None:
    bed.cluster.create(await rendered("--from-snapshot", "monday"))
    await ensure_workspace(pro)

    assert "dataSource" in bed.cluster.get(VOLUMES, NAME)["spec"]
    assert len(bed.ready(NAME)) == 1


async def test_one_that_was_made_by_hand_is_refused_with_what_to_do(bed: Bed, pro: Licence) -> None:
    """Nobody can tell whose data are in it."""
    tree = await rendered()
    metadata = {"name": NAME, "namespace": bed.cluster.namespace}
    bed.cluster.create(tree | {"metadata": metadata})
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NAME_TAKEN
    assert "workspace render USER --volume" in failure.value.detail
