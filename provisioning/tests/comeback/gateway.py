"""What the backend and launching.py do for one user, over a cluster that is heard of late and an API that fails at times."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from provisioning.answering import Answer
from provisioning.backends import Instance, Spec
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.demand import Demand, despite_outage
from provisioning.backends._kubernetes.errors import ApiFailed, Away
from provisioning.backends._kubernetes.starting import Budgets, Start
from provisioning.backends._kubernetes.transport import Request, Transport, failure_of_event
from provisioning.errors import WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.rows import ClaimLost
from provisioning.tests.cluster import Cluster as Fake
from provisioning.tests.cluster import Refused
from provisioning.tests.cluster.handling import handled
from provisioning.tests.cluster.rbac import ADMIN
from provisioning.tests.cluster.requests import Request as Received
from provisioning.tests.cluster.requests import target_of, verb_of
from provisioning.tests.comeback.reconciling import reconcile
from provisioning.tests.comeback.sidecar import IDLE_S

if TYPE_CHECKING:
    from provisioning.tests.comeback.world import World

SPEC = Spec(name=workspace_name("demo-pro"), user_id="demo-pro", tier="pro", idle_s=IDLE_S)
# As often as a process looks whether another has finished.
LOOK_S = 0.1
# What may happen to a write: it is refused, or fails; it is done and nobody hears of it; it is done, and sent again.
TROUBLES = ("refused", "failed", "unheard", "again")


class Gateway:
    """One gateway process; a dead one does nothing more."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.dead = False
        self.cluster = Cluster(Api(Direct(self), world.fake.namespace))
        self.demand = Demand(clock=lambda: world.now)
        self._known = Instance()
        self._alone = asyncio.Lock()
        self.hear()

    def hear(self, *, late: str = "") -> None:
        """The watches tell what has happened, that of the kind `late` does not; a workspace that has ended is noted so."""
        for kind, shelf in self.cluster.shelves.items():
            if kind.plural == late:
                continue
            views = shelf.views(self.world.fake.objects(kind.plural))
            shelf.replace(views, version=str(self.world.fake.store.version))
        if not self.cluster.look(SPEC.name).up:
            self.world.row.note_ended()

    async def ensure(self, *, fresh: bool) -> None:
        """Have the workspace run. Raises ApiFailed and WorkspaceFailed."""
        if not fresh and await self._wanted(self._known):
            return
        async with self._alone:
            self._known = await self._find_or_start(fresh=fresh)

    async def reconcile(self) -> None:
        """Compare the row with what this gateway has heard of, and mend."""
        await reconcile(self, name=SPEC.name, alone=self._alone)

    async def _find_or_start(self, *, fresh: bool) -> Instance:
        row = self.world.row
        while True:
            seen = row.generation
            if self.dead:
                await asyncio.Event().wait()
            elif row.busy:
                await asyncio.sleep(LOOK_S)
            elif row.ready and await self._wanted(row.instance) and (not fresh or self.world.ready()):
                return row.instance
            elif row.generation == seen and not row.busy:
                return await self._start(former=row.instance if row.ready else Instance())

    async def _start(self, *, former: Instance) -> Instance:
        row = self.world.row
        claim = row.claim(self)

        async def report(stage: str, *, detail: str = "") -> None:
            row.require(claim)

        async def record(instance: Instance) -> None:
            row.require(claim)
            row.instance = instance

        start = Start(self.cluster, SPEC, marks=self.demand, budgets=Budgets(), asks=self.asks)
        try:
            instance = await start.run(former=former, report=report, record=record)
        except (ApiFailed, WorkspaceFailed, ClaimLost):
            with suppress(ClaimLost):
                row.settle(claim, Instance())
            raise
        row.settle(claim, instance)
        return instance

    async def _wanted(self, instance: Instance) -> bool:
        return await despite_outage(SPEC.name, partial(self._told, instance), serves=self._serves)

    async def _told(self, instance: Instance) -> bool:
        alive = self.cluster.look(SPEC.name).has_ready(str(instance.facts.get("pod")))
        return alive and await self.demand.tell(self.cluster, SPEC.name)

    async def _serves(self) -> bool:
        return await self.asks() is Answer.ANSWERED

    async def asks(self, *_: object, **__: object) -> Answer:
        """What the workspace answers; its Service leads to a ready pod at once."""
        if self.dead:
            await asyncio.Event().wait()
        return Answer.ANSWERED if self.world.ready() else Answer.UNREACHABLE


class Direct(Transport):
    """In place of the network: each call is a step."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._world = gateway.world

    async def call(self, request: Request) -> dict[str, Any]:
        """The fake's answer, or none."""
        if self._world.over:
            raise Away("it is over", about=request.about)
        await self._world.point(request.about, does=lambda: self._carried_out(request))
        is_mark = request.verb == "patch" and "spec" not in (request.body or {})
        if is_mark and self._world.mark_status:
            raise failure_of_event(request, {"code": self._world.mark_status, "message": "no"})
        trouble = self._world.trouble if request.method != "GET" else ""
        if trouble:
            self._world.trouble = ""
            self._world.happened[f"write_{trouble}"] += 1
        if trouble in {"refused", "failed"}:
            raise failure_of_event(request, {"code": 409 if trouble == "refused" else 500, "message": "no"})
        answer = self._carried_out(request)
        if trouble == "again":
            await self._world.point(f"again {request.about}", does=lambda: self._carried_out(request))
            return self._carried_out(request)
        if trouble == "unheard":
            raise Away("no answer in time", about=request.about)
        return answer

    def _carried_out(self, request: Request) -> dict[str, Any]:
        try:
            return send(
                self._world.fake, request.method, request.path, query=request.query,
                content_type=request.content_type, body=request.body,
            )  # fmt: skip
        except Refused as refused:
            raise failure_of_event(request, refused.status()) from refused


def send(fake: Fake, method: str, path: str, **given: Any) -> dict[str, Any]:
    """One request to the fake, past HTTP. Raises Refused."""
    target = target_of(path)
    assert target is not None
    query = {key: str(value).lower() for key, value in (given.get("query") or {}).items()}
    body = json.dumps(given["body"]).encode() if given.get("body") else b""
    verb = verb_of(method, target, query)
    content_type = given.get("content_type", "application/json")
    received = Received(verb, target, query, content_type=content_type, body=body, agent="test", user=ADMIN)
    answer: dict[str, Any] = json.loads(json.dumps(handled(fake, received).tree))
    return answer
