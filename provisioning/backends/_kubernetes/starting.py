"""One start: put the objects in place, follow the pod until it serves, and on failure leave nothing running."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import structlog
from django.conf import settings

from provisioning.answering import Answer, ask
from provisioning.backends import Instance, Record, Report, Spec
from provisioning.backends._kubernetes.causes import failure_of_cause, failure_of_trouble
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.demand import Demand, new_mark
from provisioning.backends._kubernetes.errors import ApiFailed, Conflict, Missing
from provisioning.backends._kubernetes.judging import Trouble, Verdict, judge, put_out
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS, PODS
from provisioning.backends._kubernetes.manifests import DEMAND
from provisioning.backends._kubernetes.placing import Placing
from provisioning.backends._kubernetes.views import PodView, read_pod
from provisioning.errors import Cause, WorkspaceFailed, meanwhile

# The Service's route follows the pod's readiness, by the nodes' proxies, within a second or two.
ROUTE_POLL_S = 0.1
ANSWER_TIMEOUT_S = 3.0
# A ready pod that answers nobody for so long is deaf: longer than a route, or the end of an unready moment, takes to be heard of.
DEAF_S = 5.0
# A server that runs, and has not answered the kubelet for so long, hangs: that is 30 probes in a row, each of 2 s, while what it
# works at leaves its event loop free. The kubelet waits for longer (manifests/deployment.yaml), since nobody may be waiting.
HUNG_S = 60.0
SILENT = "Your workspace does not answer. It is started anew if that lasts for a minute…"
# Between a look and a write: whoever writes in between is followed.
TRIES = 5
# While the controller has not yet taken away the pod that is to be replaced.
REPLACED = Verdict("scheduling", None, None)

# What it is when a stage's time is up and the cluster shows nothing in the way.
TOO_LATE = {"scheduling": Cause.NOT_PLACED, "pulling": Cause.SLOW_PULL, "starting": Cause.NEVER_READY}

# Why a pod that is ready has not answered us, and under which cause that is told.
_UNHEARD = {
    Answer.REFUSED: (Cause.DENIED, "the server does not take our token"),
    Answer.UNREACHABLE: (Cause.NEVER_READY, "the pod is ready, and this gateway has no connection to its Service"),
    Answer.SILENT: (Cause.NEVER_READY, "the pod is ready, but its Service does not lead to it"),
}

Asks = Callable[..., Awaitable[Answer]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Budgets:
    """How long a start may spend in line, on waiting for a node, on fetching images and on booting, in seconds."""

    queue_s: float = 300.0
    place_s: float = 300.0
    pull_s: float = 600.0
    boot_s: float | None = None

    def of(self, stage: str) -> float:
        """What a stage may take; the boot is WORKSPACE_START_TIMEOUT_S unless given."""
        boot_s = settings.WORKSPACE_START_TIMEOUT_S if self.boot_s is None else self.boot_s
        return {"scheduling": self.place_s, "pulling": self.pull_s}.get(stage, boot_s)


class Start:
    """One start of one workspace."""

    def __init__(self, cluster: Cluster, spec: Spec, *, marks: Demand, budgets: Budgets, asks: Asks = ask) -> None:
        self._asks = asks
        self._cluster = cluster
        self._spec = spec
        self._marks = marks
        # Those that this start has left on the Deployment, each another: one that is there already would change nothing.
        self._own: list[str] = []
        self._budgets = budgets
        self._placed = 0
        # Whether this start is why a pod runs: one that it has only joined, or replaced, serves others.
        self._woke = False
        # The pods that have counted during this start, by uid.
        self._pods: set[str] = set()
        # What is in the way, and since when it has been without a break.
        self._stands: tuple[Cause, float] | None = None
        self._left = {stage: budgets.of(stage) for stage in ("scheduling", "pulling", "starting")}

    async def run(self, *, former: Instance, report: Report, record: Record) -> Instance:
        """See Backend.start. Raises ApiFailed and WorkspaceFailed."""
        await report("scheduling")
        useless = await self._useless(former)
        await record(Instance())
        if useless is None:
            useless = await self._hung(report, record)
        try:
            while True:
                began = self._marks.now()
                await self._place(record, restart=useless is not None)
                await record(self._instance(None))
                instance = self._instance(await self._until_ready(report, record, unlike=useless))
                await report("starting")
                if await self._answered() and await self._kept(began):
                    await record(instance)
                    return instance
                useless = None
        except BaseException:
            if self._woke:
                await asyncio.shield(self._undo())
            raise

    async def _useless(self, former: Instance) -> PodView | None:
        """The pod that must be replaced: one that does not answer, or that has come to grief before this start.

        What is wrong with a sidecar or a volume is no reason to end a server that is at work.
        """
        sight = self._cluster.look(self._spec.name)
        pod, verdict = sight.pod, judge(sight)
        if pod is None or not sight.up:
            return None
        trouble = verdict.trouble
        if trouble is not None and not pod.works and (trouble.grave or trouble.cause is Cause.CRASHED):
            return pod
        # Without its Service nobody could hear it.
        suspected = verdict.ready is not None and sight.complete and pod.uid == former.facts.get("pod")
        return pod if suspected and await self._is_deaf(pod) else None

    async def _is_deaf(self, pod: PodView) -> bool:
        """Whether it is connected to and does not answer, though it is ready all the while.

        One that was unready for a moment may be at work. One that we have no connection to, or that does not take our token, may
        serve others: to replace it would mend neither.
        """
        before = await self._live(pod)
        if before is None or not before.ready:
            return False
        try:
            async with asyncio.timeout(DEAF_S):
                while await self._ask() is Answer.SILENT:  # noqa: ASYNC110 - of a server elsewhere
                    await asyncio.sleep(ROUTE_POLL_S)
                return False
        except TimeoutError:
            after = await self._live(pod)
            return after is not None and after.version == before.version

    async def _hung(self, report: Report, record: Record) -> PodView | None:
        """The pod whose server hangs, also as it boots; waits until that is known of one that has served. None = none does."""
        with self._cluster.listening(self._spec.name) as heard:
            while (pod := self._silent()) is not None:
                patience_s = self._budgets.of("starting") if pod.boots else HUNG_S
                left_s = patience_s - self._cluster.silences.lasted_s(pod)
                if left_s <= 0:
                    live = await self._live(pod)
                    if live is None or live.silence != pod.silence or live.boots != pod.boots:
                        return None
                    log.warning("workspace_server_hangs", workspace=self._spec.name, pod=pod.name)
                    return pod
                if pod.boots:
                    # It is waited for as any that boots.
                    return None
                await report("starting", detail=SILENT)
                # Where it is known to be, it keeps its place in line from nobody.
                await record(Instance(url=endpoint(self._spec.name)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await heard.wait()
                heard.clear()
        return None

    def _silent(self) -> PodView | None:
        sight = self._cluster.look(self._spec.name)
        return sight.pod if sight.up and sight.pod is not None and sight.pod.silence is not None else None

    async def _ask(self) -> Answer:
        """What the server answers to its user."""
        return await self._asks(endpoint(self._spec.name), user_id=self._spec.user_id, timeout_s=ANSWER_TIMEOUT_S)

    async def _live(self, pod: PodView) -> PodView | None:
        """The pod as it is now, which our watch may not have told; None when it is gone."""
        try:
            return read_pod(await self._cluster.api.get(PODS, pod.name))
        except Missing:
            return None

    async def _kept(self, began: float) -> bool:
        """Whether it is ours for half its idle time: after a long start its sidecar may be about to stop it."""
        self._marks.wrote(self._spec.name, at=began)
        return await self._marks.tell(self._cluster, self._spec.name)

    async def _place(self, record: Record, *, restart: bool) -> None:
        self._placed += 1
        if self._placed > TRIES:
            raise WorkspaceFailed(Cause.STOPPED, detail="scaled down or deleted by somebody else, again and again")
        await self._until_former_is_gone()
        self._own.append(new_mark())
        sight = self._cluster.look(self._spec.name)
        worked = sight.up and sight.pod is not None and sight.pod.at_work
        confirm = partial(record, self._instance(None))
        placing = Placing(self._cluster, self._spec, self._own[-1], confirm=confirm)
        try:
            await placing.place(restart=restart)
        finally:
            self._woke |= placing.woke and not (restart and worked)

    async def _until_former_is_gone(self) -> None:
        """A Deployment that is being deleted makes room for a new one."""
        with self._cluster.listening(self._spec.name) as heard:
            while (found := self._cluster.look(self._spec.name).deployment) is not None and found.deleting:
                await self._wait(heard, "scheduling", None)

    async def _until_ready(self, report: Report, record: Record, *, unlike: PodView | None) -> PodView:
        with self._cluster.listening(self._spec.name) as heard:
            while True:
                sight = self._cluster.look(self._spec.name)
                if not sight.up or not sight.complete:
                    # A sidecar, or a person, was quicker. A gateway that stops it has taken the claim: recording raises.
                    await record(self._instance(None))
                    await self._place(record, restart=False)
                    continue
                verdict = self._judged(sight) if _is_another(sight.pod, unlike) else REPLACED
                if verdict.ready is not None:
                    return verdict.ready
                if self._patience_s(verdict.trouble) <= 0 and verdict.trouble is not None:
                    raise failure_of_trouble(verdict.trouble)
                await report(verdict.stage, detail=meanwhile(verdict.trouble.cause) if verdict.trouble else "")
                await self._wait(heard, verdict.stage, verdict)

    def _patience_s(self, trouble: Trouble | None) -> float:
        """How long this trouble may stand from now on, since it has stood for some time; endless for what may always pass."""
        if trouble is None:
            self._stands = None
            return float("inf")
        if self._stands is None or self._stands[0] is not trouble.cause:
            self._stands = trouble.cause, time.monotonic()
        if trouble.lasting_after_s is None:
            return float("inf")
        return trouble.lasting_after_s - (time.monotonic() - self._stands[1])

    def _judged(self, sight: Sight) -> Verdict:
        """The verdict; in want of a trouble of the pod that counts, why one before it had to go during this start."""
        verdict = judge(sight)
        gone = put_out([pod for pod in sight.pods if pod.uid in self._pods])
        if sight.pod is not None:
            self._pods.add(sight.pod.uid)
        return verdict if verdict.trouble is not None or verdict.ready is not None else replace(verdict, trouble=gone)

    async def _wait(self, heard: asyncio.Event, stage: str, verdict: Verdict | None) -> None:
        """Wait for news at the stage's expense, or until a trouble has stood for long enough.

        Raises WorkspaceFailed when the stage's time is spent.
        """
        began = time.monotonic()
        patience_s = self._patience_s(verdict.trouble if verdict is not None else None)
        try:
            async with asyncio.timeout(min(self._left[stage], patience_s)):
                await heard.wait()
        except TimeoutError:
            if patience_s >= self._left[stage]:
                raise self._too_late(stage, verdict) from None
        heard.clear()
        self._left[stage] -= time.monotonic() - began

    def _too_late(self, stage: str, verdict: Verdict | None) -> WorkspaceFailed:
        if verdict is not None and verdict.trouble is not None:
            return failure_of_trouble(verdict.trouble)
        detail = f"not past the stage {stage} within {self._budgets.of(stage):g} s"
        broken = self._cluster.failure
        if broken is not None:
            return WorkspaceFailed(Cause.CLUSTER_AWAY, detail=f"{detail}; {broken}")
        return failure_of_cause(TOO_LATE[stage], detail)

    async def _answered(self) -> bool:
        """Whether the server answers, which the pod's readiness precedes a little; False when it was stopped meanwhile."""
        until = time.monotonic() + max(self._left["starting"], ROUTE_POLL_S)
        while (answer := await self._ask()) is not Answer.ANSWERED:
            if not self._cluster.look(self._spec.name).up:
                return False
            if time.monotonic() > until:
                raise failure_of_cause(*_UNHEARD[answer])
            await asyncio.sleep(ROUTE_POLL_S)
        return True

    def _instance(self, pod: PodView | None) -> Instance:
        facts = {"name": self._spec.name, "demand": self._own[-1]}
        if pod is not None:
            facts |= facts_of(self._cluster.look(self._spec.name), pod)
        return Instance(url=endpoint(self._spec.name), facts=facts)

    async def _undo(self) -> None:
        """Scale to 0, unless another start has put its own mark on the Deployment since; the volume is never touched."""
        for _ in range(TRIES):
            try:
                found = await self._cluster.api.get(DEPLOYMENTS, self._spec.name)
                if (found["metadata"].get("annotations") or {}).get(DEMAND) not in self._own:
                    return
                version = found["metadata"]["resourceVersion"]
                change = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 0}}
                with suppress(Conflict):
                    self._cluster.note(await self._cluster.api.patch(DEPLOYMENTS, self._spec.name, change))
                    return
            except Missing:
                return
            except ApiFailed as error:
                # The reconciling finds a Deployment that runs and whose row says that its start failed.
                log.warning("workspace_not_scaled_down", workspace=self._spec.name, error=str(error))
                return


def _is_another(pod: PodView | None, unlike: PodView | None) -> bool:
    return pod is None or unlike is None or pod.uid != unlike.uid


def facts_of(sight: Sight, pod: PodView) -> dict[str, str]:
    """What is recorded of the pod that serves: `release` is what it was made from, apart from its user's licence."""
    return {"pod": pod.uid, "release": sight.deployment.release if sight.deployment is not None else ""}


def endpoint(name: str) -> str:
    """Where the gateway reaches the workspace of this name."""
    return str(settings.WORKSPACE_ENDPOINT_TEMPLATE).format(name=name, namespace=settings.KUBERNETES_NAMESPACE)
