"""What runs containers: the pretended one, whose containers start, boot, crash and end by plan."""

from collections.abc import Callable
from typing import Protocol

from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.plans import Plan, Plans, Trouble
from provisioning.tests.cluster.store import meta


class Reports(Protocol):
    """What a runtime tells the kubelet; a report about a container that has gone is ignored."""

    def ready(self, uid: str, container: str) -> None:
        """Its startup and readiness probes succeed."""

    def unready(self, uid: str, container: str, why: str) -> None:
        """A probe failed."""

    def exited(self, uid: str, container: str, code: int, *, reason: str = "") -> None:
        """It ended."""

    def evict(self, uid: str, message: str = "") -> None:
        """The node needs its room."""


class Runtime(Protocol):
    """Runs containers and reports how they fare."""

    def start(self, pod: Object, container: Object, reports: Reports) -> None:
        """Start one container."""

    def stop(self, pod: Object, ended: Callable[[], None]) -> None:
        """End all containers of a pod, with grace, and then call `ended`."""


class Pretended:
    """Containers without processes, on the cluster's clock."""

    def __init__(self, clock: Clock, plans: Plans) -> None:
        self._clock = clock
        self._plans = plans

    def start(self, pod: Object, container: Object, reports: Reports) -> None:
        plan = self._plans.of(meta(pod)["name"])
        uid, name = meta(pod)["uid"], container["name"]
        trouble = self._trouble(pod, name, plan)
        if trouble:
            self._clock.call_later(plan.boot_s, lambda: _befall(trouble, plan, reports, (uid, name)))
        elif _is_plain_init(pod, name):
            self._clock.call_later(plan.boot_s, lambda: reports.exited(uid, name, 0))
        else:
            self._clock.call_later(plan.boot_s, lambda: reports.ready(uid, name))

    def stop(self, pod: Object, ended: Callable[[], None]) -> None:
        self._clock.call_later(self._plans.of(meta(pod)["name"]).stop_s, ended)

    def _trouble(self, pod: Object, name: str, plan: Plan) -> Trouble | None:
        if name != troubled_container(pod, plan):
            return None
        mine = (Trouble.CRASH_LOOP, Trouble.OOM_KILLED, Trouble.NEVER_READY, Trouble.EVICTED)
        return next((each for each in mine if self._plans.befalls(meta(pod)["name"], each)), None)


def _befall(trouble: Trouble, plan: Plan, reports: Reports, who: tuple[str, str]) -> None:
    uid, name = who
    if trouble is Trouble.CRASH_LOOP:
        reports.exited(uid, name, plan.exit_code)
    elif trouble is Trouble.OOM_KILLED:
        reports.exited(uid, name, 137, reason="OOMKilled")
    elif trouble is Trouble.EVICTED:
        reports.evict(uid, plan.message)
    else:
        reports.unready(uid, name, plan.message or "HTTP probe failed with statuscode: 503")


def troubled_container(pod: Object, plan: Plan) -> str:
    return plan.container or str(pod["spec"]["containers"][0]["name"])


def _is_plain_init(pod: Object, name: str) -> bool:
    plain = (each["name"] for each in pod["spec"].get("initContainers", []) if each.get("restartPolicy") != "Always")
    return name in plain
