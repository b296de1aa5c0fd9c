"""What registries, runtimes and controllers stumble over once ends no start; what a rule refuses ends it at once."""

import asyncio
from dataclasses import replace

import pytest

from accounts.licences import Licence
from provisioning.backends._kubernetes import judging
from provisioning.backends._kubernetes.cluster import Sight, cluster
from provisioning.backends._kubernetes.judging import STANDS_S, judge
from provisioning.backends._kubernetes.views import SERVER, ContainerView
from provisioning.errors import MESSAGES, Cause, WorkspaceFailed, meanwhile
from provisioning.names import workspace_name
from provisioning.stages import StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Refused, Trouble
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
FORBIDDEN = f'FailedCreate: pods "{NAME}-1" is forbidden:'
NO_WEBHOOK = 'Internal error occurred: failed calling webhook "policy.example.com": connect: connection refused'


class Starting:
    """A start under way, and what its user has been told."""

    def __init__(self, licence: Licence) -> None:
        self.told: set[str] = set()
        self.task = asyncio.create_task(ensure_workspace(licence, on_stage=self._tell))

    async def _tell(self, report: StageReport) -> None:
        self.told.add(report.detail)

    async def tells(self, bed: Bed, cause: Cause) -> None:
        """Let the cluster's time pass until the user is told this. Fails when the start ends before."""

        async def told() -> bool:
            if self.task.done():
                self.task.result()
            bed.cluster.advance(1)
            return meanwhile(cause) in self.told

        await until(told)


@pytest.mark.parametrize(
    ("trouble", "cause"), [(Trouble.CONFIG, Cause.CONTAINER), (Trouble.IMAGE_PULL, Cause.IMAGE_PULL)]
)
async def test_what_fails_once_on_the_node_hinders_no_start(
    trouble: Trouble, cause: Cause, bed: Bed, pro: Licence
) -> None:
    """Source: a registry's hiccup, a runtime that took too long: the kubelet tries again, and the start was over by then."""
    bed.cluster.plan(NAME, Plan(trouble))
    starting = Starting(pro)
    await starting.tells(bed, cause)
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(60)
    await starting.task

    assert len(bed.ready(NAME)) == 1


async def test_a_webhook_that_is_away_for_a_moment_hinders_no_start(bed: Bed, pro: Licence) -> None:
    bed.cluster.refuse_pods(NAME, Refused(500, "InternalError", NO_WEBHOOK))
    starting = Starting(pro)
    await starting.tells(bed, Cause.REFUSED)
    bed.cluster.refuse_pods(NAME, None)
    bed.cluster.advance(60)
    await starting.task

    assert len(bed.ready(NAME)) == 1


async def test_a_webhook_that_stays_away_ends_the_start_long_before_its_time_is_up(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.judging.STANDS_S", 0.2)
    bed.cluster.refuse_pods(NAME, Refused(500, "InternalError", NO_WEBHOOK))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.REFUSED
    assert "connection refused" in failure.value.detail
    assert bed.replicas(NAME) == 0


@pytest.mark.parametrize(
    ("failure", "cause", "after_s"),
    [
        (f"{FORBIDDEN} exceeded quota: dexorder-workspaces", Cause.QUOTA, 0),
        (f"{FORBIDDEN} failed quota: q: must specify limits.cpu", Cause.REFUSED, 0),
        (f'{FORBIDDEN} violates PodSecurity "restricted:latest"', Cause.REFUSED, 0),
        (f"{FORBIDDEN} maximum memory usage per Container is 1Gi, but limit is 2Gi", Cause.REFUSED, 0),
        (
            f"{FORBIDDEN} ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            Cause.REFUSED,
            0,
        ),
        ('FailedCreate: admission webhook "p" denied the request: no', Cause.REFUSED, 0),
        (f'FailedCreate: Pod "{NAME}-1" is invalid: spec.x: Required value', Cause.REFUSED, 0),
        (f"{FORBIDDEN} error looking up service account w/{NAME}: not found", Cause.REFUSED, STANDS_S),
        (f"FailedCreate: {NO_WEBHOOK}", Cause.REFUSED, STANDS_S),
        ("FailedCreate: etcdserver: request timed out", Cause.REFUSED, STANDS_S),
    ],
)
async def test_only_what_a_rule_refuses_is_sure_at_once(
    failure: str, cause: Cause, after_s: float, bed: Bed, pro: Licence
) -> None:
    await ensure_workspace(pro)
    seen = (await cluster()).look(NAME)
    assert seen.deployment is not None
    sight: Sight = replace(seen, deployment=replace(seen.deployment, failure=failure), pods=())
    trouble = judge(sight).trouble

    assert trouble is not None
    assert (trouble.cause, trouble.lasting_after_s) == (cause, after_s)


def test_a_container_that_could_not_be_run_three_times_is_sure_not_to() -> None:
    first = ContainerView(SERVER, False, "RunContainerError", "", "", None, 0)

    assert [[each.lasting_after_s for each in judging.troubles_of(replace(first, restarts=n))] for n in range(3)] == [
        [STANDS_S],
        [STANDS_S],
        [0],
    ]


@pytest.mark.parametrize("cause", list(Cause))
def test_what_is_told_while_a_start_goes_on_names_the_cause_and_sends_nobody_away(cause: Cause) -> None:
    """Source: "try again in a few minutes" was read under a start that came up by itself."""
    told = meanwhile(cause)

    assert told.endswith(". Still trying…")
    assert MESSAGES[cause].startswith(told.removesuffix(". Still trying…"))
    assert "try again" not in told.lower()
