"""What all controllers share: the store, the clock, and the writing of status, conditions and events."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.deletions import Deletions
from provisioning.tests.cluster.kinds import EVENTS, Kind, Object
from provisioning.tests.cluster.store import Store, meta
from provisioning.tests.cluster.writes import Writes


@dataclass
class Control:
    """A controller's way to the cluster: it writes as the API would, past authentication."""

    store: Store
    clock: Clock
    writes: Writes
    deletions: Deletions
    _waiting: set[Hashable] = field(default_factory=set)
    _events: int = 0

    def soon(self, key: Hashable, action: Callable[[], None], delay_s: float = 0.0) -> None:
        """Run the action once, however often it is asked for meanwhile."""
        if key in self._waiting:
            return
        self._waiting.add(key)

        def run() -> None:
            self._waiting.discard(key)
            action()

        self.clock.call_later(delay_s, run)

    def write_status(self, kind: Kind, tree: Object, status: Object) -> Object:
        """Replace the status; one that is the same writes nothing."""
        live = self.store.find(kind, meta(tree).get("namespace", ""), meta(tree)["name"])
        if live is None or meta(live)["uid"] != meta(tree)["uid"] or live.get("status") == status:
            return tree
        return self.store.replace(kind, {**live, "status": status})

    def write_spec(self, kind: Kind, tree: Object, **values: object) -> Object:
        return self.store.replace(kind, {**tree, "spec": {**tree["spec"], **values}})

    def event(self, about: tuple[Kind, Object], reason: str, message: str, *, warning: bool = False) -> None:
        """Write an Event; each is a new one, where a real recorder would count repetitions in `count`."""
        kind, tree = about
        self._events += 1
        now = self.clock.timestamp()
        namespace = meta(tree)["namespace"]
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": f"{meta(tree)['name']}.{self._events:016x}"},
            "involvedObject": {
                "apiVersion": kind.api_version,
                "kind": kind.name,
                "namespace": namespace,
                "name": meta(tree)["name"],
                "uid": meta(tree)["uid"],
                "resourceVersion": meta(tree)["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "cluster"},
            "reportingComponent": "cluster",
            "reportingInstance": "",
            "eventTime": None,
        }
        self.store.create(EVENTS, event)


def condition(type_: str, status: str, now: str, *, reason: str = "", message: str = "") -> Object:
    made: Object = {"type": type_, "status": status, "lastTransitionTime": now}
    return made | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def with_condition(conditions: list[Object], new: Object) -> list[Object]:
    """The conditions with this one; its transition time stays when its status does."""
    kept = []
    for old in conditions:
        if old["type"] != new["type"]:
            kept.append(old)
        elif old["status"] == new["status"]:
            new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return [*kept, new]


def condition_of(tree: Object, type_: str) -> Object | None:
    found = (each for each in tree.get("status", {}).get("conditions", []) if each["type"] == type_)
    return next(found, None)


def controller_reference(kind: Kind, owner: Object) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "name": meta(owner)["name"],
        "uid": meta(owner)["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
