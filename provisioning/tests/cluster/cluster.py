"""A cluster in one process: API, controllers, node. Tests hold it and look into it; callers speak HTTP to it."""

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from provisioning.tests.cluster.admission import Admission
from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.controllers.control import Control
from provisioning.tests.cluster.controllers.deployments import DeploymentController
from provisioning.tests.cluster.controllers.garbage import GarbageCollector
from provisioning.tests.cluster.controllers.kubelet import Kubelet
from provisioning.tests.cluster.controllers.replica_sets import ReplicaSetController
from provisioning.tests.cluster.controllers.runtime import Pretended
from provisioning.tests.cluster.controllers.scheduler import Scheduler
from provisioning.tests.cluster.controllers.storage import Storage
from provisioning.tests.cluster.deletions import Deletions, Options
from provisioning.tests.cluster.faults import Faults
from provisioning.tests.cluster.journal import Journal
from provisioning.tests.cluster.kinds import NAMESPACES, SERVICE_ACCOUNTS, Kind, Object, kind_called, kind_of
from provisioning.tests.cluster.plans import Plan, Plans
from provisioning.tests.cluster.rbac import Authorizer, Identities
from provisioning.tests.cluster.statuses import Refused
from provisioning.tests.cluster.store import Change, Store, copied, meta
from provisioning.tests.cluster.watching import BOOKMARK_S, Watch
from provisioning.tests.cluster.writes import Writes

T = TypeVar("T")


class Cluster:
    """One cluster. Its methods may be called from any thread; `namespace` is the one that they mean.

    On the virtual clock nothing takes time but what a plan gives time to, and that passes with `advance`. On the real one
    plans' seconds are seconds, while the cluster is served. One that is not `controlled` is an API server and nothing else.
    """

    def __init__(self, *, namespace: str = "workspaces", virtual: bool = True, controlled: bool = True) -> None:
        self.lock = threading.RLock()
        self.namespace = namespace
        self.clock = Clock(virtual=virtual)
        self.store = Store(self.clock)
        self.identities = Identities(self.store, self.clock)
        self.authorizer = Authorizer(self.store)
        self.admission = Admission(self.store)
        self.writes = Writes(self.store, self.admission, self.authorizer.check)
        self.deletions = Deletions(self.store, self.clock)
        self.journal = Journal()
        self.faults = Faults()
        self.plans = Plans()
        self.watches: list[Watch] = []
        # Whether watches of a forgotten version are refused with HTTP 410, or opened and ended with an ERROR line.
        self.refuses_old_watches = True
        # Whether pods/resize is offered, as it is from 1.33 on.
        self.resizes_pods = True
        # A store of its own that nothing is written to: controllers that hear of nothing do nothing.
        heard = self.store if controlled else Store(self.clock)
        control = Control(heard, self.clock, self.writes, self.deletions)
        GarbageCollector(control)
        DeploymentController(control)
        self.replica_sets = ReplicaSetController(control)
        storage = Storage(control, self.plans)
        scheduler = Scheduler(control, self.plans, storage)
        self.kubelet = Kubelet(control, self.plans, Pretended(self.clock, self.plans))
        scheduler.bound = self.kubelet.take
        self.store.listeners.append(self._note)
        self.clock.call_later(BOOKMARK_S, self._bookmark)
        for name in ("default", namespace):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def _note(self, change: Change) -> None:
        for watch in self.watches:
            if watch.kind is change.kind:
                watch.signal.set()
        if change.kind is NAMESPACES and change.type == "ADDED":
            account = {"apiVersion": "v1", "kind": "ServiceAccount"}
            metadata = {"name": "default", "namespace": meta(change.tree)["name"]}
            self.store.create(SERVICE_ACCOUNTS, account | {"metadata": metadata})

    def _bookmark(self) -> None:
        for watch in self.watches:
            watch.ask_for_bookmark()
        self.clock.call_later(BOOKMARK_S, self._bookmark)

    def run(self, action: Callable[[], T]) -> T:
        """Do something to the cluster, and let its controllers do what follows from it."""
        with self.lock:
            done = action()
            self.clock.run_due()
            return done

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        with self.lock:
            self.clock.advance(seconds)

    def create(self, tree: Object) -> Object:
        """Create an object as an administrator would; a namespaced one without a namespace goes into the cluster's own."""
        kind = kind_of(tree)
        mine = copied(tree)
        if kind.namespaced:
            mine["metadata"].setdefault("namespace", self.namespace)
        return self.run(lambda: self.writes.create_tree(kind, mine))

    def create_all(self, trees: Iterable[Object]) -> None:
        for tree in trees:
            self.create(tree)

    def get(self, plural: str, name: str) -> Object:
        """The object, to read only. Raises Refused 404."""
        kind = kind_called(plural)
        with self.lock:
            return self.store.get(kind, self._namespace_of(kind), name)

    def objects(self, plural: str) -> list[Object]:
        kind = kind_called(plural)
        with self.lock:
            return self.store.listed(kind, self._namespace_of(kind))

    def names(self, plural: str) -> list[str]:
        return [meta(tree)["name"] for tree in self.objects(plural)]

    def pods_of(self, deployment: str) -> list[Object]:
        return [pod for pod in self.objects("pods") if meta(pod)["name"].startswith(f"{deployment}-")]

    def edit(self, plural: str, name: str, change: Callable[[Object], None]) -> Object:
        """Change an object as a stranger would: past field managers, through the controllers."""
        kind = kind_called(plural)

        def act() -> Object:
            tree = copied(self.store.get(kind, self._namespace_of(kind), name))
            change(tree)
            return self.store.replace(kind, tree)

        return self.run(act)

    def delete(self, plural: str, name: str, options: Options | None = None) -> None:
        kind = kind_called(plural)
        self.run(
            lambda: self.deletions.delete_tree(
                kind, self.store.get(kind, self._namespace_of(kind), name), options or Options()
            )
        )

    def token(self, account: str, *, lasting_s: float = 3600.0) -> str:
        """A token of a service account of the cluster's namespace. Raises Refused 404."""
        with self.lock:
            return self.identities.issue(self.namespace, account, lasting_s=lasting_s)

    def plan(self, deployment: str, plan: Plan) -> None:
        """How the pods of this Deployment fare from now on."""
        with self.lock:
            self.plans.set(deployment, plan)

    def refuse_pods(self, deployment: str, refusal: Refused | None) -> None:
        """Let the creation of this Deployment's pods be refused, as a webhook's admission would; None = no more."""
        with self.lock:
            self.replica_sets.refuse.pop(deployment, None)
            if refusal is not None:
                self.replica_sets.refuse[deployment] = refusal

    def crash(self, deployment: str, *, code: int = 1, reason: str = "") -> None:
        """Let the first container of each pod of the Deployment end now."""
        with self.lock:
            for pod in self.pods_of(deployment):
                self.kubelet.exited(meta(pod)["uid"], pod["spec"]["containers"][0]["name"], code, reason=reason)
            self.clock.run_due()

    def evict(self, deployment: str, message: str = "") -> None:
        """Let the node evict each pod of the Deployment now."""
        with self.lock:
            for pod in self.pods_of(deployment):
                self.kubelet.evict(meta(pod)["uid"], message)
            self.clock.run_due()

    def compact(self) -> None:
        """Forget the history of changes."""
        with self.lock:
            self.store.compact()

    def end_watches(self, plural: str = "") -> None:
        """Close the open watches, of one kind or all, as a server does after a while."""
        with self.lock:
            for watch in self._watches_of(plural):
                watch.end()

    def silence_watches(self, plural: str = "") -> None:
        """The open watches stay open and say nothing any more, as when a middlebox has lost the connection."""
        with self.lock:
            for watch in self._watches_of(plural):
                watch.silent = True

    def send_bookmarks(self) -> None:
        with self.lock:
            for watch in self.watches:
                watch.ask_for_bookmark()

    def _watches_of(self, plural: str) -> list[Watch]:
        return [watch for watch in self.watches if plural in {"", watch.kind.plural}]

    def _namespace_of(self, kind: Kind) -> str:
        return self.namespace if kind.namespaced else ""
