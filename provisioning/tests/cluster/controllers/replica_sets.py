"""ReplicaSet → Pod, through the same admission as any client's creation."""

from provisioning.tests.cluster.controllers.control import Control, condition, condition_of, controller_reference
from provisioning.tests.cluster.deletions import Options
from provisioning.tests.cluster.kinds import PODS, REPLICA_SETS, Object
from provisioning.tests.cluster.statuses import Refused
from provisioning.tests.cluster.store import Change, copied, meta

# The real controller retries with a rate limiter from 5 ms to 1,000 s; a caller sees only that it does.
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0


class ReplicaSetController:
    """Keeps as many pods as are wanted. `refuse` lets a test refuse the creation of pods by their set's name."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._retries: dict[str, float] = {}
        self._held: set[str] = set()
        self.refuse: dict[str, Refused] = {}
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        if change.kind is REPLICA_SETS and change.type != "DELETED":
            self._soon(meta(change.tree)["namespace"], meta(change.tree)["name"])
        elif change.kind is PODS:
            for owner in meta(change.tree).get("ownerReferences", []):
                self._soon(meta(change.tree)["namespace"], owner["name"])

    def _soon(self, namespace: str, name: str) -> None:
        self._control.soon(("replica set", namespace, name), lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        owner = self._control.store.find(REPLICA_SETS, namespace, name)
        if owner is None or "deletionTimestamp" in meta(owner):
            return
        pods = [tree for kind, tree in self._control.store.owned_by(meta(owner)["uid"]) if kind is PODS]
        active = [pod for pod in pods if _is_active(pod)]
        failure = condition_of(owner, "ReplicaFailure")
        missing = owner["spec"]["replicas"] - len(active)
        if missing > 0:
            failure = failure if name in self._held else self._create(owner, missing)
        else:
            failure = None
            self._retries.pop(name, None)
            for pod in sorted(active, key=_is_ready)[:-missing] if missing else []:
                self._control.deletions.delete_tree(PODS, pod, Options())
                self._control.event((REPLICA_SETS, owner), "SuccessfulDelete", f"Deleted pod: {meta(pod)['name']}")
        self._write_status(owner, failure)

    def _create(self, owner: Object, count: int) -> Object | None:
        """The ReplicaFailure condition when a pod was refused."""
        for _ in range(count):
            try:
                refusal = self._refusal(meta(owner)["name"])
                if refusal:
                    raise refusal
                pod = self._control.writes.create_tree(PODS, _pod(owner))
            except Refused as refused:
                message = str(refused)
                self._control.event((REPLICA_SETS, owner), "FailedCreate", f"Error creating: {message}", warning=True)
                self._retry(owner)
                now = self._control.clock.timestamp()
                # As in the real controller, a condition that is there already keeps the message of its first refusal.
                made = condition("ReplicaFailure", "True", now, reason="FailedCreate", message=message)
                return condition_of(owner, "ReplicaFailure") or made
            self._control.event((REPLICA_SETS, owner), "SuccessfulCreate", f"Created pod: {meta(pod)['name']}")
        self._retries.pop(meta(owner)["name"], None)
        return None

    def _refusal(self, name: str) -> Refused | None:
        return next((refused for start, refused in self.refuse.items() if name.startswith(start)), None)

    def _retry(self, owner: Object) -> None:
        name = meta(owner)["name"]
        delay_s = min(LONGEST_RETRY_S, 2 * self._retries.get(name, FIRST_RETRY_S / 2))
        self._retries[name] = delay_s
        self._held.add(name)
        self._control.clock.call_later(delay_s, lambda: self._release(meta(owner)["namespace"], name))

    def _release(self, namespace: str, name: str) -> None:
        self._held.discard(name)
        self._soon(namespace, name)

    def _write_status(self, owner: Object, failure: Object | None) -> None:
        pods = [
            tree for kind, tree in self._control.store.owned_by(meta(owner)["uid"]) if kind is PODS and _is_active(tree)
        ]
        ready = sum(_is_ready(pod) for pod in pods)
        status: Object = {"replicas": len(pods), "observedGeneration": meta(owner)["generation"]}
        if pods:
            status["fullyLabeledReplicas"] = len(pods)
        if ready:
            status |= {"readyReplicas": ready, "availableReplicas": ready}
        if failure:
            status["conditions"] = [failure]
        self._control.write_status(REPLICA_SETS, owner, status)


def _is_active(pod: Object) -> bool:
    return "deletionTimestamp" not in meta(pod) and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}


def _is_ready(pod: Object) -> bool:
    found = condition_of(pod, "Ready")
    return bool(found) and found is not None and found["status"] == "True"


def _pod(owner: Object) -> Object:
    template = copied(owner["spec"]["template"])
    metadata = template.get("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **{name: metadata[name] for name in ("labels", "annotations") if name in metadata},
            "generateName": f"{meta(owner)['name']}-",
            "namespace": meta(owner)["namespace"],
            "ownerReferences": [controller_reference(REPLICA_SETS, owner)],
        },
        "spec": template["spec"],
    }
