"""Watches of a cluster where little happens, and of one that can't be watched. Source: what a real API server sends and ends."""

import pytest

from accounts.licences import Licence
from provisioning import metrics
from provisioning.backends._kubernetes import transport, watcher
from provisioning.backends._kubernetes.cluster import Cluster, cluster
from provisioning.backends._kubernetes.starting import Budgets
from provisioning.backends.kubernetes import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Gate, Plan
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENT_S", 0.2)
    monkeypatch.setattr(watcher, "STEADY_S", 0.1)


def opened(bed: Bed) -> int:
    """How often the events were asked for."""
    return len(bed.cluster.journal.of(verb="watch", resource="events"))


def breaks() -> float:
    """How often a watch of events broke off."""
    value: float = metrics.WATCH_FAILURES.labels("events", "yes")._value.get()
    return value


async def opened_anew(bed: Bed) -> None:
    """Return when the watch of events has been opened twice more."""
    before = opened(bed)

    async def is_done() -> bool:
        return opened(bed) >= before + 2

    await until(is_done)


async def test_a_watch_that_has_nothing_to_say_is_opened_anew_and_nothing_is_amiss(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: https://github.com/kubernetes/kubernetes/issues/131897, events come without the bookmarks of other kinds."""
    monkeypatch.setattr(BACKEND, "budgets", Budgets(pull_s=0.5))
    before = breaks()
    found = await cluster()
    await opened_anew(bed)
    bed.cluster.plan(NAME, Plan(pull_s=10**7))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.SLOW_PULL
    assert found.failure is None
    assert breaks() == before


@pytest.mark.parametrize(
    "fault", [Fault(verb="watch", times=None, drop=True), Fault(verb="watch", times=None, gate=Gate())]
)
async def test_a_watch_whose_connection_is_dead_is_noticed_and_forgotten_when_it_stands_again(
    bed: Bed, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a middlebox that drops connections without a word; and one that takes them, with no server behind it."""
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT_S", 0.3)
    found = await cluster()
    bed.cluster.faults.add(fault)
    bed.cluster.silence_watches()
    await until(lambda: fails(found))
    bed.cluster.faults.clear()
    if fault.gate is not None:
        fault.gate.open()
    await until(lambda: stands(found))

    # Nothing has happened to any object since: that they stand is all there is to hear.
    assert all(each.silence_s < 20 for each in found.watchers)


async def fails(found: Cluster) -> bool:
    return all(each.failure is not None for each in found.watchers)


async def stands(found: Cluster) -> bool:
    return found.failure is None
