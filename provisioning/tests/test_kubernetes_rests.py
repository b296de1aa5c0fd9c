"""An API server that asks to be left alone. Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/"""

import pytest

from accounts.licences import Licence
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.errors import Away, Conflict
from provisioning.backends._kubernetes.kinds import PODS
from provisioning.backends._kubernetes.resting import Rest
from provisioning.backends._kubernetes.transport import LONGEST_REST_S, Request, failure_of_event
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Refused
from provisioning.tests.gateways import licence_of
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]


async def failure_of(licence: Licence) -> WorkspaceFailed:
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(licence)
    return failure.value


@pytest.mark.parametrize(("asked", "heeded"), [(60, 60), (10**6, LONGEST_REST_S)])
async def test_a_watch_says_how_long_it_was_asked_to_wait(asked: int, heeded: float, bed: Bed) -> None:
    api = await Api.open(bed.cluster.namespace)
    bed.cluster.faults.add(Fault(verb="watch", refusal=Refused(429, "TooManyRequests", "slow", retry_after_s=asked)))
    with pytest.raises(Away) as away:
        await anext(api.watch(PODS, query={}, version="1", opened=lambda: None))
    await api.close()

    assert away.value.retry_after_s == heeded
    assert told_of_an_event(asked) == heeded


def told_of_an_event(asked: int) -> float:
    """The same where the server has taken the watch, and then says it in place of an object."""
    status = Refused(429, "TooManyRequests", "slow", retry_after_s=asked).status()
    failure = failure_of_event(Request("watch", "/pods", "pods"), status)
    assert isinstance(failure, Away)
    return failure.retry_after_s


async def test_an_api_server_that_asks_for_longer_than_a_call_waits_is_left_alone(bed: Bed, pro: Licence) -> None:
    """Source: Retry-After of full queues; each call that comes before makes them fuller."""
    found = await cluster()
    slow = Refused(429, "TooManyRequests", "slow down", retry_after_s=60)
    bed.cluster.faults.add(Fault(verb="patch", resource="serviceaccounts", refusal=slow))
    first = await failure_of(pro)
    sent = len(bed.cluster.journal.calls)
    second = await failure_of(licence_of("demo-free"))
    with pytest.raises(Away) as away:
        await anext(found.api.watch(PODS, query={}, version="1", opened=lambda: None))

    assert [first.cause, second.cause] == [Cause.CLUSTER_AWAY] * 2
    assert "slow down" in second.detail
    assert len(bed.cluster.journal.calls) == sent
    assert 0 < away.value.retry_after_s <= 60


def test_who_asked_to_be_left_alone_is_asked_again_afterwards() -> None:
    now = 0.0
    rest = Rest(clock=lambda: now)
    rest.heed(Away("slow down", about="x", status=429, retry_after_s=60))
    rest.heed(Away("oops", about="x", status=500, retry_after_s=1))
    rest.heed(Conflict("not so", about="x"))
    now = 59.0
    with pytest.raises(Away, match="slow down") as away:
        rest.require_over("y")
    now = 60.0
    rest.require_over("y")

    assert away.value.retry_after_s == 1
