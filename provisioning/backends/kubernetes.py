"""Workspaces as Deployments of a cluster: applied on demand, followed by watches, stopped by their own sidecars when idle.

The cluster keeps them: they outlive the gateway, and no process owns them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured

from accounts.tiers import LIMITS
from provisioning.answering import answers
from provisioning.backends import Finding, Instance, Record, Report, Spec
from provisioning.backends._kubernetes import following, reconciling, removing
from provisioning.backends._kubernetes.adjusting import Adjusting
from provisioning.backends._kubernetes.causes import failure_of
from provisioning.backends._kubernetes.cluster import close_cluster, cluster, known_cluster
from provisioning.backends._kubernetes.demand import Demand, despite_outage
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.idling import is_changed, is_outdated
from provisioning.backends._kubernetes.keys import publish_keys
from provisioning.backends._kubernetes.line import Line
from provisioning.backends._kubernetes.manifests import release_of
from provisioning.backends._kubernetes.starting import ANSWER_TIMEOUT_S, Budgets, Start
from provisioning.errors import Cause, WorkspaceFailed

# Of one process, until its objects are written: the control plane feels each of them.
STARTS_AT_ONCE = 64

CHANGED = "Your workspace is ready. Your licence has changed: what is new of it holds in full after your workspace's next pause."

RENEWED = "Your workspace is ready. A newer version of it comes with its next pause."


class KubernetesBackend:
    """Starts each workspace as a Deployment with a Service, a ServiceAccount and a volume of its own."""

    name = "kubernetes"
    owned = False

    def __init__(self) -> None:
        self.budgets = Budgets()
        self.demand = Demand()
        self.adjusting = Adjusting()
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Line] = WeakKeyDictionary()

    async def start(self, spec: Spec, *, former: Instance, report: Report, record: Record) -> Instance:
        """See Backend. Waiting in line, for a node, for images and for the boot each have a budget of their own."""
        await report("queued")

        async def tell(position: int) -> None:
            await report("queued", detail=f"Your workspace is number {position} in line…")

        async with self._line().turn(tell, within_s=self.budgets.queue_s) as leave:

            async def record_placed(instance: Instance) -> None:
                await record(instance)
                if instance.url:
                    # Its objects are there. Where no node takes its pod it may wait for minutes, and hinders nobody by that.
                    leave()

            with _failures():
                found = await cluster()
                await publish_keys(found)
                start = Start(found, spec, marks=self.demand, budgets=self.budgets)
                return await start.run(former=former, report=report, record=record_placed)

    async def stop(self, name: str) -> None:
        """See Backend."""
        self.demand.forget(name)
        with _failures():
            await removing.stop(await cluster(), name)

    def alive(self, instance: Instance) -> bool:
        """See Backend. Until this process has heard of the cluster, what was recorded stands."""
        name, pod = instance.facts.get("name"), instance.facts.get("pod")
        if not isinstance(name, str) or pod is None:
            return False
        found = known_cluster()
        return found is None or found.look(name).has_ready(str(pod))

    async def want(self, spec: Spec, instance: Instance) -> bool:
        """See Backend."""
        with _failures():
            serves = partial(self.serves, spec.user_id, instance)
            return await despite_outage(spec.name, partial(self._told, spec, instance), serves=serves)

    def news(self, spec: Spec) -> str:
        """See Backend."""
        found = known_cluster()
        sight = found.look(spec.name) if found is not None else None
        if sight is None or not sight.up:
            return ""
        if is_changed(sight, spec):
            return CHANGED
        return RENEWED if is_outdated(sight) else ""

    def releases(self) -> frozenset[str]:
        """See Backend."""
        try:
            return frozenset(release_of(tier) for tier in LIMITS)
        except ImproperlyConfigured:
            # A start says what is wrong with the table of values.
            return frozenset()

    async def serves(self, user_id: str, instance: Instance) -> bool:
        """See Backend."""
        return await answers(instance.url, user_id=user_id, timeout_s=ANSWER_TIMEOUT_S)

    async def heartbeat(self, names: Iterable[str]) -> None:
        """See Backend. A Deployment needs no owner."""

    async def heed(self, idle: Mapping[str, int]) -> None:
        """See Backend. Nobody owns them: the reconciling does this."""

    async def remove(self, name: str, *, with_data: bool) -> bool:
        """See Backend. The gateway's own account may not delete volumes: that takes an operator's KUBECONFIG."""
        self.demand.forget(name)
        with _failures():
            return await removing.remove(await cluster(), name, with_data=with_data)

    async def follow(self) -> None:
        """See Backend."""
        await following.follow(backend=self.name, marks=self.demand)

    async def reconcile(self, *, dry_run: bool) -> list[Finding]:
        """See Backend."""
        with _failures():
            return await reconciling.reconcile(await cluster(), dry_run=dry_run)

    async def close(self) -> None:
        """See Backend."""
        await close_cluster()

    async def _told(self, spec: Spec, instance: Instance) -> bool:
        found = await cluster()
        if not self.alive(instance) or not await self.demand.tell(found, spec.name):
            return False
        await self.adjusting.adjust(found, spec)
        return True

    def _line(self) -> Line:
        return self._lines.setdefault(asyncio.get_running_loop(), Line(STARTS_AT_ONCE))


BACKEND = KubernetesBackend()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ApiFailed as error:
        raise failure_of(error) from error
    except ImproperlyConfigured as error:
        raise WorkspaceFailed(Cause.NOT_INSTALLED, detail=str(error)) from error
