"""What must not happen to a workspace when it is woken: to lose its data unseen, or to be replaced while it is used."""

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.demand import new_mark
from provisioning.backends._kubernetes.errors import Conflict
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS
from provisioning.backends._kubernetes.placing import Placing
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Fault
from provisioning.tests.gateways import licence_of
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
OLD, NEW = "registry.example/workspace:1", "registry.example/workspace:2"


async def asleep(bed: Bed, licence: Licence) -> None:
    await ensure_workspace(licence)
    await stop_workspace(licence.user_id)
    await bed.heard()


async def place(licence: Licence) -> bool:
    """What a start does first; whether it is why a pod runs."""
    placing = Placing(await cluster(), spec_of(licence), new_mark())
    await placing.place(restart=False)
    return placing.woke


async def unheard(bed: Bed, *plurals: str) -> None:
    """What there is of these kinds, this process has not heard of."""
    bed.cluster.silence_watches()
    known = await cluster()
    for plural in plurals:
        shelf = next(shelf for kind, shelf in known.shelves.items() if kind.plural == plural)
        shelf.drop(bed.cluster.get(plural, NAME))


async def test_a_volume_that_is_gone_is_not_replaced_by_an_empty_one(bed: Bed, pro: Licence) -> None:
    await asleep(bed, pro)
    bed.cluster.delete(VOLUMES, NAME)
    await bed.heard()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.STORAGE_LOST
    assert (bed.cluster.names(VOLUMES), bed.replicas(NAME)) == ([], 0)


async def test_an_operator_lets_a_workspace_start_empty_by_deleting_its_deployment(bed: Bed, pro: Licence) -> None:
    """Source: docs/operations.md."""
    await asleep(bed, pro)
    bed.cluster.delete(VOLUMES, NAME)
    bed.cluster.delete("deployments", NAME)
    await bed.heard()
    await ensure_workspace(pro)

    assert bed.cluster.names(VOLUMES) == [NAME]
    assert len(bed.ready(NAME)) == 1


async def test_a_volume_that_our_watch_does_not_show_yet_is_not_gone(bed: Bed, pro: Licence) -> None:
    """Source: each kind has a watch of its own, so that another gateway's Deployment may be heard of before its volume."""
    await asleep(bed, pro)
    volume = bed.cluster.get(VOLUMES, NAME)
    (await cluster()).volumes.drop(volume)
    await place(pro)

    assert bed.replicas(NAME) == 1
    assert bed.cluster.get(VOLUMES, NAME) == volume


async def test_a_workspace_that_was_deleted_with_its_data_starts_anew_also_where_that_is_not_heard_of(
    bed: Bed, pro: Licence
) -> None:
    await asleep(bed, pro)
    bed.cluster.silence_watches()
    (await cluster()).volumes.drop(bed.cluster.get(VOLUMES, NAME))
    for plural in ("deployments", VOLUMES):
        bed.cluster.delete(plural, NAME)
    await place(pro)

    assert (bed.cluster.names(VOLUMES), bed.replicas(NAME)) == ([NAME], 1)


async def test_what_another_gateway_has_woken_unheard_is_not_replaced_by_a_newer_template(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    """Source: during a release, or after a change of the licence, of a gateway whose watch says nothing."""
    settings.WORKSPACE_IMAGE = OLD
    await asleep(bed, pro)
    bed.cluster.silence_watches()
    bed.cluster.edit("deployments", NAME, lambda tree: tree["spec"].update(replicas=1))
    bed.cluster.advance(30)
    [pod] = bed.ready(NAME)
    settings.WORKSPACE_IMAGE = NEW
    woke = await place(pro)
    bed.cluster.advance(60)

    assert bed.ready(NAME) == [pod]
    assert not woke


async def test_what_another_gateway_has_created_unheard_is_joined_as_it_is(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    """Source: the issuer of a start may be of another release, or know another licence."""
    settings.WORKSPACE_IMAGE = OLD
    await ensure_workspace(pro)
    [pod] = bed.ready(NAME)
    await unheard(bed, "deployments", VOLUMES, "services", "serviceaccounts")
    settings.WORKSPACE_IMAGE = NEW
    woke = await place(licence_of("demo-pro", memory="3Gi", storage="5Gi"))
    bed.cluster.advance(60)

    assert bed.ready(NAME) == [pod]
    assert bed.cluster.get(VOLUMES, NAME)["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert not woke


async def test_what_another_gateway_has_created_and_its_sidecar_stopped_unheard_is_woken(
    bed: Bed, pro: Licence
) -> None:
    await asleep(bed, pro)
    await unheard(bed, "deployments")

    assert await place(pro)
    assert bed.replicas(NAME) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_a_start_whose_answer_was_lost_knows_what_it_did_when_it_asks_again(
    known: bool, bed: Bed, pro: Licence
) -> None:
    """Source: what was sent again is refused, for the version has moved on by the first time."""
    if known:
        await asleep(bed, pro)
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", drop_after=True))

    assert await place(pro)
    assert bed.replicas(NAME) == 1
    writes = [call for call in bed.cluster.journal.writes() if call.resource == "deployments"]
    # The first has no code: nobody heard of it.
    assert [call.code for call in writes][-2:] == [0, 409]


async def test_what_still_sleeps_is_woken_with_the_newer_template_though_it_has_changed_unheard(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    settings.WORKSPACE_IMAGE = OLD
    await asleep(bed, pro)
    bed.cluster.silence_watches()
    bed.cluster.edit(
        "deployments", NAME, lambda tree: tree["metadata"]["annotations"].update({"example.com/note": "x"})
    )
    settings.WORKSPACE_IMAGE = NEW
    await place(pro)
    bed.cluster.advance(60)

    [tree] = bed.cluster.pods_of(NAME)
    assert NEW in {each["image"] for each in tree["spec"]["containers"]}
    assert tree["metadata"]["uid"] in bed.ready(NAME)


async def test_what_is_meant_for_one_deployment_is_not_written_to_the_next_of_its_name(bed: Bed, pro: Licence) -> None:
    """Source: the API server calls the uid of a patch a change of what can't be changed, 422, and not a conflict."""
    await asleep(bed, pro)
    change = {"metadata": {"uid": "00000000-0000-4000-8000-0000000000ff", "annotations": {"example.com/a": "b"}}}
    with pytest.raises(Conflict) as conflict:
        await (await cluster()).api.patch(DEPLOYMENTS, NAME, change)

    assert conflict.value.status == 422
    assert "example.com/a" not in bed.cluster.get("deployments", NAME)["metadata"]["annotations"]


async def test_a_stranger_that_took_the_name_of_one_that_sleeps_unheard_is_left_alone(bed: Bed, pro: Licence) -> None:
    await asleep(bed, pro)
    bed.cluster.silence_watches()
    taken = {"dexorder.io/user-sha256": "0" * 64}
    bed.cluster.edit("deployments", NAME, lambda tree: tree["metadata"]["annotations"].update(taken))
    with pytest.raises(WorkspaceFailed) as failure:
        await place(licence_of("demo-pro", memory="3Gi"))

    assert failure.value.cause == Cause.NAME_TAKEN
    assert bed.replicas(NAME) == 0
