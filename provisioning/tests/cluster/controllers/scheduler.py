"""The scheduler: gives each pod the one node there is, or says why not."""

from collections.abc import Callable

from provisioning.tests.cluster.controllers.control import Control, condition, with_condition
from provisioning.tests.cluster.controllers.storage import Storage
from provisioning.tests.cluster.kinds import PODS, Object
from provisioning.tests.cluster.plans import Plans, Trouble
from provisioning.tests.cluster.store import Change, meta

NODE = "node-1"
# The real queue backs off from 1 to 10 s.
RETRY_S = 10.0


class Scheduler:
    """Calls `bound` with each pod that has got its node."""

    def __init__(self, control: Control, plans: Plans, storage: Storage) -> None:
        self._control = control
        self._plans = plans
        self._storage = storage
        self.bound: Callable[[Object], None] = lambda _: None
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        if change.kind is PODS and change.type == "ADDED" and not change.tree["spec"].get("nodeName"):
            self._soon(change.tree, self._plans.of(meta(change.tree)["name"]).schedule_s)

    def _soon(self, pod: Object, delay_s: float) -> None:
        uid = meta(pod)["uid"]
        self._control.soon(("schedule", uid), lambda: self._schedule(uid), delay_s)

    def _schedule(self, uid: str) -> None:
        found = self._control.store.by_uid(uid)
        if found is None or found[1]["spec"].get("nodeName") or "deletionTimestamp" in meta(found[1]):
            return
        pod = found[1]
        why = self._why_not(pod)
        if why:
            self._refuse(pod, why)
            return
        now = self._control.clock.timestamp()
        conditions = with_condition(pod["status"].get("conditions", []), condition("PodScheduled", "True", now))
        status = {**pod["status"], "conditions": conditions}
        pod = self._control.store.replace(PODS, {**pod, "spec": {**pod["spec"], "nodeName": NODE}, "status": status})
        text = f"Successfully assigned {meta(pod)['namespace']}/{meta(pod)['name']} to {NODE}"
        self._control.event((PODS, pod), "Scheduled", text)
        self.bound(pod)

    def _why_not(self, pod: Object) -> str:
        name = meta(pod)["name"]
        if self._plans.befalls(name, Trouble.UNSCHEDULABLE):
            return self._plans.of(name).message or "1 Insufficient memory"
        return self._storage.why_unbound(pod)

    def _refuse(self, pod: Object, why: str) -> None:
        message = (
            f"0/1 nodes are available: {why}. preemption: 0/1 nodes are available: "
            "1 Preemption is not helpful for scheduling."
        )
        now = self._control.clock.timestamp()
        new = condition("PodScheduled", "False", now, reason="Unschedulable", message=message)
        status = {**pod["status"], "conditions": with_condition(pod["status"].get("conditions", []), new)}
        self._control.write_status(PODS, pod, status)
        self._control.event((PODS, pod), "FailedScheduling", message, warning=True)
        self._soon(pod, RETRY_S)
