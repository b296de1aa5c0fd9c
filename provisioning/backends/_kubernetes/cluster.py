"""The cluster as this process knows it: one watch for each kind of objects, shared by every start and by the reconciling."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from django.conf import settings

from gateway.ending import end
from provisioning import metrics
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.kinds import (
    ACCOUNTS,
    BY_NAME,
    DEPLOYMENTS,
    EVENTS,
    PODS,
    SERVICES,
    VOLUMES,
    Kind,
)
from provisioning.backends._kubernetes.manifests import SELECTOR
from provisioning.backends._kubernetes.marks import Marks
from provisioning.backends._kubernetes.shelves import Shelf
from provisioning.backends._kubernetes.silences import Silences
from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.views import (
    DeploymentView,
    PodView,
    View,
    VolumeView,
    WarningView,
    read_deployment,
    read_object,
    read_pod,
    read_volume,
    read_warning,
)
from provisioning.backends._kubernetes.watcher import Watcher

if TYPE_CHECKING:
    from provisioning.backends._kubernetes.outages import Outage

OURS = {"labelSelector": SELECTOR}
# Events can't be chosen by label: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
WARNINGS = {"fieldSelector": "type=Warning"}


@dataclass(frozen=True)
class Sight:
    """All that is known of one workspace at one moment."""

    deployment: DeploymentView | None
    service: View | None
    volume: VolumeView | None
    account: View | None
    pods: tuple[PodView, ...]
    warnings: tuple[WarningView, ...]

    @property
    def pod(self) -> PodView | None:
        """The pod that counts: the newest that is not ending."""
        return next((pod for pod in reversed(self.pods) if not pod.deleting), None)

    @property
    def up(self) -> bool:
        """Whether a pod is wanted."""
        found = self.deployment
        return found is not None and not found.deleting and found.replicas > 0

    def has_ready(self, pod: str) -> bool:
        """Whether the pod of this uid is wanted and ready."""
        return self.up and any(each.uid == pod and each.ready and not each.deleting for each in self.pods)

    @property
    def complete(self) -> bool:
        """Whether each of its own four objects is there."""
        return len(self.objects) == 4

    @property
    def objects(self) -> list[View]:
        """What there is of its own four objects."""
        return [each for each in (self.deployment, self.service, self.volume, self.account) if each is not None]


class Cluster:
    """The shelves, the watches that keep them, and who waits for a workspace to change."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        # The public key that workspaces were told of.
        self.published = ""
        # The events that told that they are missed, as they were when they were last published.
        self.missed: frozenset[tuple[str, str]] = frozenset()
        self.publishing = asyncio.Lock()
        self.stirred: set[str] = set()
        self.stir = asyncio.Event()
        shelf = partial(Shelf, changed=self._changed)
        self.marks = Marks()
        self.deployments: Shelf[DeploymentView] = Shelf(read_deployment, self._deployment_changed)
        self.silences = Silences()
        self.pods: Shelf[PodView] = Shelf(read_pod, self._pod_changed)
        self.services: Shelf[View] = shelf(read_object)
        self.volumes: Shelf[VolumeView] = shelf(read_volume)
        self.accounts: Shelf[View] = shelf(read_object)
        self.warnings: Shelf[WarningView] = shelf(read_warning)
        self.shelves: dict[Kind, Shelf[View]] = {
            DEPLOYMENTS: self.deployments,  # type: ignore[dict-item]  # each takes in the trees of its own kind
            PODS: self.pods,  # type: ignore[dict-item]
            SERVICES: self.services,
            VOLUMES: self.volumes,  # type: ignore[dict-item]
            ACCOUNTS: self.accounts,
            EVENTS: self.warnings,  # type: ignore[dict-item]
        }
        self.watchers = [
            Watcher(api, kind, shelf=shelf, query=WARNINGS if kind is EVENTS else OURS)
            for kind, shelf in self.shelves.items()
        ]
        # What reconciling has told people of, by workspace and words.
        self.told: frozenset[tuple[str, str]] = frozenset()
        # Of the workspaces whose server does not run though it shall; kept by the reconciling.
        self.outages: dict[str, Outage] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls) -> "Cluster":
        """The cluster that the settings name, its watches begun. Raises ImproperlyConfigured."""
        cluster = cls(await Api.open(settings.KUBERNETES_NAMESPACE))
        cluster._begin()
        return cluster

    async def close(self) -> None:
        """End the watches and close the connections."""
        await end(self._tasks)
        await self.api.close()

    async def synced(self) -> None:
        """Return once every kind has been listed. Raises ApiFailed when one can't be."""
        if not self.known:
            await asyncio.gather(*(watcher.first_list() for watcher in self.watchers))

    @property
    def known(self) -> bool:
        """Whether every kind has been listed once."""
        return all(watcher.synced.is_set() for watcher in self.watchers)

    @property
    def failure(self) -> ApiFailed | None:
        """Why the cluster can't be watched just now."""
        return next((watcher.failure for watcher in self.watchers if watcher.failure is not None), None)

    def look(self, name: str) -> Sight:
        """The workspace as it is known now."""
        return Sight(
            deployment=self.deployments.one(name),
            service=self.services.one(name),
            volume=self.volumes.one(name),
            account=self.accounts.one(name),
            pods=tuple(self.pods.of(name)),
            warnings=tuple(self.warnings.of(name)),
        )

    def workspaces(self) -> set[str]:
        """The names of all workspaces that have an object of their own."""
        own = (self.deployments, self.services, self.volumes, self.accounts)
        return set().union(*(shelf.workspaces() for shelf in own))

    def note(self, tree: Tree) -> None:
        """Take in what a call of our own answered, without waiting for the watch."""
        self.shelves[BY_NAME[tree["kind"]]].put(tree)

    @contextmanager
    def listening(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something of the workspace changes."""
        heard = asyncio.Event()
        self._waiting[name].add(heard)
        try:
            yield heard
        finally:
            self._waiting[name].discard(heard)
            if not self._waiting[name]:
                del self._waiting[name]

    def tell_silence(self) -> None:
        """Bring the metric of the watches' silence up to date."""
        for watcher in self.watchers:
            metrics.WATCH_SILENCE.labels(watcher.kind.plural).set(watcher.silence_s)

    def _begin(self) -> None:
        self._tasks = [
            asyncio.create_task(watcher.run(), name=f"watch {watcher.kind.plural}") for watcher in self.watchers
        ]

    def _deployment_changed(self, workspace: str) -> None:
        found = self.deployments.one(workspace)
        told = found is not None and self.deployments.is_beyond(found.version)
        self.marks.saw(workspace, found.demand if found is not None else "", told=told)
        self._changed(workspace)

    def _pod_changed(self, workspace: str) -> None:
        self.silences.saw(workspace, self.look(workspace).pod)
        self._changed(workspace)

    def _changed(self, workspace: str) -> None:
        self.stirred.add(workspace)
        self.stir.set()
        for heard in self._waiting.get(workspace, ()):
            heard.set()


_opening: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Cluster]]" = WeakKeyDictionary()


async def cluster() -> Cluster:
    """The running loop's cluster, opened by whoever asks first; every kind has been listed.

    Raises ApiFailed, ImproperlyConfigured.
    """
    loop = asyncio.get_running_loop()
    if loop not in _opening or (_opening[loop].done() and _opening[loop].exception() is not None):
        _opening[loop] = asyncio.create_task(Cluster.open())
    found = await asyncio.shield(_opening[loop])
    try:
        await found.synced()
    except ApiFailed:
        # Nobody follows it yet who would tell.
        found.tell_silence()
        raise
    return found


def known_cluster() -> Cluster | None:
    """The running loop's cluster if it has been listed; None otherwise, and outside of an event loop."""
    try:
        opening = _opening.get(asyncio.get_running_loop())
    except RuntimeError:
        return None
    if opening is None or not opening.done() or opening.cancelled() or opening.exception() is not None:
        return None
    return opening.result() if opening.result().known else None


async def close_cluster() -> None:
    """Let go of the running loop's cluster, if it has one."""
    opening = _opening.pop(asyncio.get_running_loop(), None)
    if opening is None:
        return
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()
