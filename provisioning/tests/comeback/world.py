"""The cluster, its user's requests by two gateways, and the sidecar: what happens next is chosen from outside."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

import greenlet  # type: ignore[import-untyped]  # has none
from django.conf import settings

from provisioning.backends import Instance
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.views import SERVER
from provisioning.errors import WorkspaceFailed
from provisioning.rows import ClaimLost
from provisioning.tests.bed import is_ready
from provisioning.tests.cluster import Cluster as Fake
from provisioning.tests.cluster import Refused
from provisioning.tests.cluster.store import Change
from provisioning.tests.comeback.gateway import SPEC, TROUBLES, Gateway, send
from provisioning.tests.comeback.sidecar import IDLE_S, POLL_S, Sidecar

# So that all who look again from time to time have looked, and all else has gone on that can.
SETTLED_S = 0.2
# One after the other until nobody waits: more than the longest history takes.
ROUNDS = 400
# The kind whose watch tells nothing of what the others tell.
LATE = ("", "pods", "deployments", "services", "")


@dataclass(eq=False)
class Step:
    """Where somebody waits to go on: since when, whose it is, and the call that is on its way."""

    at: str
    since: float
    gateway: Gateway
    does: Callable[[], object] | None
    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Asked:
    """What a user has asked for, and the pod that works on it."""

    gateway: Gateway
    working_in: str = ""
    served: bool = False


@dataclass
class Server:
    """What the server of one pod does."""

    in_flight: int = 0
    last_useful: float = 0.0


class Row:
    """The workspace's row: who starts it, and the instance that was recorded."""

    def __init__(self) -> None:
        self.generation = 0
        self.holder: Gateway | None = None
        self.ready = False
        self.instance = Instance()

    @property
    def busy(self) -> bool:
        """Whether a live gateway starts it; the lease of a dead one ends at once here."""
        return self.holder is not None and not self.holder.dead

    def claim(self, holder: Gateway) -> int:
        """The generation that the holder may act on."""
        self.generation += 1
        self.holder, self.ready = holder, False
        return self.generation

    def require(self, claim: int) -> None:
        """Raises ClaimLost."""
        if claim != self.generation:
            raise ClaimLost

    def settle(self, claim: int, instance: Instance) -> None:
        """The start is over: it runs, or with an empty instance failed. Raises ClaimLost."""
        self.require(claim)
        self.holder, self.ready, self.instance = None, bool(instance.facts), instance

    def note_ended(self) -> None:
        """A workspace that is ready in the table does not run."""
        if self.ready:
            self.ready, self.instance = False, Instance()


_gateway: ContextVar[Gateway] = ContextVar("gateway")


class World:
    """What there is, and what went wrong."""

    def __init__(self, sidecar: Sidecar, *, mark_status: int = 0) -> None:
        self.now = 0.0
        self.fake = Fake(namespace=settings.KUBERNETES_NAMESPACE)
        self.fake.store.listeners.append(self._note)
        self.row = Row()
        self.parked: list[Step] = []
        self.servers: dict[str, Server] = defaultdict(Server)
        self.requests: list[Asked] = []
        # Requests in flight when their pod was ended; stops; stops that somebody forestalled; requests that came too late;
        # starts that failed; gateways that died.
        self.cut = self.stops = self.overtaken = self.held = self.failed = self.died = 0
        # Each kind of what befell writes, what gateways did when they reconciled, and what was chosen from outside.
        self.happened: Counter[str] = Counter()
        # The sidecar has looked for the last time, and its call is on its way.
        self.stopping = False
        # What the API server answers to a mark, 0 = it takes it; and what befalls the next write of a gateway.
        self.mark_status = mark_status
        self.trouble = ""
        self.over = False
        self.gateways = {name: Gateway(self) for name in "AB"}
        self._code = sidecar
        self._sidecar: tuple[str, object] = ("", None)
        self._looking: greenlet.greenlet | None = None
        self._ended: set[str] = set()
        # Kept, for nobody else does once a gateway is dead.
        self._tasks: list[asyncio.Task[None]] = []

    async def point(self, what: str, *, does: Callable[[], object] | None = None) -> None:
        """Wait for the next step; `does` is the call that is on its way."""
        step = Step(what, self.now, _gateway.get(), does)
        self.parked.append(step)
        await step.go.wait()

    async def act(self, action: str, *, choice: int = 0) -> None:
        """One thing happens; then all that follows from it."""
        who, _, what = action.partition(" ")
        self.happened[f"act_{what or action}"] += 1
        if who in self.gateways:
            {
                "asks": self.ask,
                "hears": lambda of: self.gateways[of].hear(late=LATE[choice % len(LATE)]),
                "dies": self.kill,
                "reconciles": self.reconcile,
            }[what](who)
        elif action == "step" and self.parked:
            self.parked.pop(choice % len(self.parked)).go.set()
        elif action == "flap":
            self.flap()
        elif action == "trouble":
            self.trouble = TROUBLES[choice % len(TROUBLES)]
        elif who == "look":
            self.look_on(choice, times=1 if action == "look" else 2 * IDLE_S // POLL_S)
        await asyncio.sleep(SETTLED_S)

    def look_on(self, choice: int, *, times: int) -> None:
        """The sidecar goes on, but not past the moment before its stop, nor for some choices past one before a call."""
        for _ in range(times):
            self.look()
            if self.stopping or (self._looking is not None and choice == 0):
                return

    def ask(self, name: str) -> None:
        """A user asks something of the workspace."""
        self.requests.append(Asked(self.gateways[name]))
        self._take_up(self.requests[-1])

    def kill(self, name: str) -> None:
        """A gateway dies with all its calls under way, every other of which is done; another takes its place and its turns."""
        dead, self.gateways[name] = self.gateways[name], Gateway(self)
        dead.dead = True
        self.died += 1
        for number, step in enumerate([step for step in self.parked if step.gateway is dead]):
            self.parked.remove(step)
            if step.does is not None and (number + self.died) % 2:
                with suppress(ApiFailed):
                    step.does()
        for asked in self.requests:
            if asked.gateway is dead and not asked.served:
                if asked.working_in:
                    self.servers[asked.working_in].in_flight -= 1
                asked.gateway, asked.working_in = self.gateways["B" if name == "A" else "A"], ""
                # A lease has to run out first.
                self._take_up(asked, at="takes over")

    def flap(self) -> None:
        """The pod is not ready for a while, though its server works on; or is again."""
        for pod in self.fake.pods_of(SPEC.name):
            change = self.fake.kubelet.unready if is_ready(pod) else self.fake.kubelet.ready
            arguments = (pod["metadata"]["uid"], SERVER, "timeout")[: 3 if is_ready(pod) else 2]
            self.fake.run(lambda change=change, arguments=arguments: change(*arguments))  # type: ignore[misc]

    def reconcile(self, name: str) -> None:
        """A gateway compares the table with the cluster."""
        token = _gateway.set(self.gateways[name])
        self._tasks.append(asyncio.create_task(self.gateways[name].reconcile()))
        _gateway.reset(token)

    def _take_up(self, asked: Asked, *, at: str = "") -> None:
        token = _gateway.set(asked.gateway)
        self._tasks.append(asyncio.create_task(self._request(asked, asked.gateway, at=at)))
        _gateway.reset(token)

    async def _request(self, asked: Asked, gateway: Gateway, *, at: str) -> None:
        refused = False
        if at:
            await self.point(at)
        while True:
            try:
                await gateway.ensure(fresh=refused)
            except (ApiFailed, WorkspaceFailed, ClaimLost):
                # A turn is tried again.
                self.failed += 1
                await self.point("again")
                continue
            await self.point("route")
            pod = self.ready()
            refused = not pod
            if refused:
                self.held += 1
                continue
            server = self.servers[pod]
            server.in_flight += 1
            server.last_useful, asked.working_in = self.now, pod
            await self.point("work")
            server.in_flight -= 1
            server.last_useful, asked.served = self.now, True
            return

    def ready(self) -> str:
        """The uid of the pod that serves, if there is one."""
        return self._first(pod["metadata"]["uid"] for pod in self.fake.pods_of(SPEC.name) if is_ready(pod))

    def running(self) -> str:
        """The uid of the pod that there is, ready or not."""
        pods = [pod["metadata"] for pod in self.fake.pods_of(SPEC.name)]
        return self._first(pod["uid"] for pod in pods if "deletionTimestamp" not in pod)

    @staticmethod
    def _first(uids: Iterable[str]) -> str:
        return next(iter(uids), "")

    def _note(self, change: Change) -> None:
        pod = change.tree["metadata"]
        gone = change.type == "DELETED" or "deletionTimestamp" in pod
        if change.kind.plural == "pods" and gone and pod["uid"] not in self._ended:
            self._ended.add(pod["uid"])
            self.cut += self.servers[pod["uid"]].in_flight

    def look(self) -> None:
        """The sidecar goes on with its look, or begins one a little later."""
        if self._looking is None:
            if any(step.at == "route" and self.now - step.since >= IDLE_S / 4 - POLL_S for step in self.parked):
                return
            self.now += POLL_S
            pod = self.running()
            if not pod:
                return
            if pod != self._sidecar[0]:
                self._sidecar = (pod, self._code.attendant(self, pod))
            self._looking = greenlet.greenlet(self._sidecar[1].look)  # type: ignore[attr-defined]  # of the sidecar
        self._looking.switch()
        if self._looking.dead:
            self._looking = None

    def version(self) -> str:
        """The Deployment's, as the sidecar reads it."""
        version: str = self.fake.get("deployments", SPEC.name)["metadata"]["resourceVersion"]
        return version

    def stop(self, version: str) -> bool:
        """The sidecar's call; False for a conflict."""
        self.stopping = False
        change = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 0}}
        path = f"/apis/apps/v1/namespaces/{self.fake.namespace}/deployments/{SPEC.name}/scale"
        try:
            send(self.fake, "PATCH", path, content_type="application/merge-patch+json", body=change)
        except Refused as refused:
            self.overtaken += refused.code == 409
            return refused.code != 409
        self.stops += 1
        return True

    async def come_to_rest(self) -> None:
        """Let everybody finish, once nothing more befalls anybody."""
        self.trouble = ""
        if self.running() and not self.ready():
            self.flap()
        for _ in range(ROUNDS):
            if all(asked.served for asked in self.requests):
                return
            for action in ("A hears", "B hears", "step"):
                await self.act(action)

    async def end(self) -> None:
        """Nobody waits any more."""
        self.over = True
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
