"""A new image or template reaches what runs at its next pause, also what would never pause; nothing is restarted by surprise."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning import launching, metrics, rows
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes.adjusting import Adjusting
from provisioning.backends._kubernetes.drift import Action
from provisioning.backends._kubernetes.idling import CHANGE_IDLE_S
from provisioning.backends._kubernetes.manifests import RELEASE
from provisioning.backends._kubernetes.views import SERVER
from provisioning.backends.kubernetes import RENEWED
from provisioning.stages import SENTENCES, StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.drift_states import NAME, USER, idle_times, licence_has_a_longer_idle_time, reconcile, settle
from provisioning.tests.gateways import licence_of
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
OLD_IMAGE, NEW_IMAGE = "registry.example/workspace:1", "registry.example/workspace:2"
LISTED = "runs what an earlier release made"


@pytest.fixture
async def never_stops(bed: Bed, settings: Settings) -> Licence:
    """The licence of a workspace that runs for ever, with the old image; the next start would take the new one."""
    settings.WORKSPACE_IMAGE = OLD_IMAGE
    await licence_has_a_longer_idle_time(bed)
    licence = licence_of(USER, idle_s=0)
    await ensure_workspace(licence)
    await settle()
    settings.WORKSPACE_IMAGE = NEW_IMAGE
    return licence


def images(bed: Bed) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in bed.cluster.pods_of(NAME)]


async def told(licence: Licence) -> str:
    """What the user reads at last."""
    reports: list[StageReport] = []

    async def tell(report: StageReport) -> None:
        reports.append(report)

    await ensure_workspace(licence, on_stage=tell)
    return reports[-1].detail


async def test_a_workspace_that_never_stops_has_its_sidecar_stop_it_once_for_a_new_image(
    bed: Bed, never_stops: Licence
) -> None:
    """Source: it ran the image of its first start for ever."""
    found = {finding.found: finding.done for finding in await reconcile()}
    await bed.heard()

    assert found[LISTED] == Action.AWAIT.value
    assert Action.SHORTEN.value in found.values()
    assert (images(bed), idle_times(bed)) == ([OLD_IMAGE], {str(CHANGE_IDLE_S)})
    assert await told(never_stops) == RENEWED
    assert [finding.found for finding in await reconcile()] == [LISTED]
    assert metrics.FINDINGS.labels(LISTED)._value.get() == 1


async def test_its_next_start_brings_the_new_one_and_it_never_stops_again(bed: Bed, never_stops: Licence) -> None:
    await reconcile()
    await bed.scale(NAME, 0)

    assert await told(never_stops) == SENTENCES["ready"]
    assert (images(bed), idle_times(bed)) == ([NEW_IMAGE], {"0"})
    await settle()
    await bed.heard()
    assert await reconcile() == []
    assert metrics.FINDINGS.labels(LISTED)._value.get() == 0


async def test_whoever_uses_it_first_has_it_told_and_its_idle_time_lowered_before_any_reconcile(
    bed: Bed, never_stops: Licence
) -> None:
    kubernetes.BACKEND.adjusting = Adjusting()
    launching.forget_all()

    assert await told(never_stops) == RENEWED
    assert (images(bed), idle_times(bed)) == ([OLD_IMAGE], {str(CHANGE_IDLE_S)})


async def test_one_that_hangs_is_replaced_by_the_new_one(
    bed: Bed, never_stops: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.HUNG_S", 0.1)
    [hung] = bed.ready(NAME)
    bed.cluster.run(lambda: bed.cluster.kubelet.unready(hung, SERVER, "timeout"))
    await bed.heard()
    await ensure_workspace(never_stops)

    assert images(bed) == [NEW_IMAGE]


async def test_a_workspace_that_pauses_by_itself_keeps_its_idle_time(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    settings.WORKSPACE_IMAGE = OLD_IMAGE
    await ensure_workspace(pro)
    await settle()
    before = idle_times(bed)
    settings.WORKSPACE_IMAGE = NEW_IMAGE

    assert [(finding.found, finding.done) for finding in await reconcile()] == [(LISTED, Action.AWAIT.value)]
    assert (images(bed), idle_times(bed)) == ([OLD_IMAGE], before)


async def test_a_release_that_changes_nothing_of_a_users_pod_is_noted_at_the_next_start(bed: Bed, pro: Licence) -> None:
    """Source: a request in the table of values that is higher than the user's limit is cut down to that."""

    def made_by_another(tree: dict[str, Any]) -> None:
        tree["metadata"]["annotations"][RELEASE] = "another"

    await ensure_workspace(pro)
    await bed.scale(NAME, 0)
    bed.cluster.edit("deployments", NAME, made_by_another)
    await bed.heard()
    await ensure_workspace(pro)
    await settle()
    await bed.heard()

    assert await reconcile() == []


async def test_a_row_says_which_release_its_pod_is_of(bed: Bed, never_stops: Licence) -> None:
    """Source: the admin's list shows by it who waits for a new image."""
    row = await rows.find(NAME)
    assert row is not None
    assert row.facts["release"] not in kubernetes.BACKEND.releases()
    await stop_workspace(USER)
    await ensure_workspace(never_stops)
    row = await rows.find(NAME)
    assert row is not None
    assert row.facts["release"] in kubernetes.BACKEND.releases()
