"""Deployment → ReplicaSet.

Simpler than the real one: RollingUpdate scales the new set up at once and the old ones down when it is available.
"""

import hashlib

import orjson

from provisioning.tests.cluster.controllers.control import (
    Control,
    condition,
    condition_of,
    controller_reference,
    with_condition,
)
from provisioning.tests.cluster.kinds import DEPLOYMENTS, PODS, REPLICA_SETS, Object
from provisioning.tests.cluster.store import Change, copied, meta

REVISION = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"


class DeploymentController:
    """Keeps one ReplicaSet per template and the Deployment's status."""

    def __init__(self, control: Control) -> None:
        self._control = control
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        if change.kind is DEPLOYMENTS and change.type != "DELETED":
            self._soon(meta(change.tree)["namespace"], meta(change.tree)["name"])
        elif change.kind is REPLICA_SETS:
            self._soon_owners(change.tree)
        elif change.kind is PODS and change.type == "DELETED":
            # Recreate waits for the last of the old pods to go, which is no change of its ReplicaSet.
            owners = meta(change.tree).get("ownerReferences", [])
            for found in filter(None, (self._control.store.by_uid(owner["uid"]) for owner in owners)):
                self._soon_owners(found[1])

    def _soon_owners(self, tree: Object) -> None:
        for owner in meta(tree).get("ownerReferences", []):
            self._soon(meta(tree)["namespace"], owner["name"])

    def _soon(self, namespace: str, name: str) -> None:
        self._control.soon(("deployment", namespace, name), lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        deployment = self._control.store.find(DEPLOYMENTS, namespace, name)
        if deployment is None or "deletionTimestamp" in meta(deployment):
            return
        sets = [tree for kind, tree in self._control.store.owned_by(meta(deployment)["uid"]) if kind is REPLICA_SETS]
        current = next((tree for tree in sets if _hash(tree) == template_hash(deployment)), None)
        old = [tree for tree in sets if tree is not current]
        if self._may_start(deployment, old):
            current = self._with_current(deployment, current, old)
            if current["spec"]["replicas"] != deployment["spec"]["replicas"]:
                current = self._control.write_spec(REPLICA_SETS, current, replicas=deployment["spec"]["replicas"])
        self._retire(deployment, current, old)
        self._write_status(deployment, current, old)

    def _may_start(self, deployment: Object, old: list[Object]) -> bool:
        """Recreate: nothing new before all that is old has gone."""
        if deployment["spec"]["strategy"]["type"] != "Recreate":
            return True
        return not any(
            tree["spec"]["replicas"] or any(kind is PODS for kind, _ in self._control.store.owned_by(meta(tree)["uid"]))
            for tree in old
        )

    def _with_current(self, deployment: Object, current: Object | None, old: list[Object]) -> Object:
        if current is None:
            revision = 1 + max((_revision(tree) for tree in old), default=0)
            current = self._control.writes.create_tree(REPLICA_SETS, _replica_set(deployment, revision))
        if meta(deployment).get("annotations", {}).get(REVISION) != meta(current)["annotations"][REVISION]:
            tree = copied(deployment)
            tree["metadata"].setdefault("annotations", {})[REVISION] = meta(current)["annotations"][REVISION]
            self._control.store.replace(DEPLOYMENTS, tree)
        return current

    def _retire(self, deployment: Object, current: Object | None, old: list[Object]) -> None:
        recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
        if current and not recreate and _available(current) < current["spec"]["replicas"]:
            return
        for tree in old:
            if tree["spec"]["replicas"]:
                self._control.write_spec(REPLICA_SETS, tree, replicas=0)
        finished = [tree for tree in old if not tree["spec"]["replicas"] and not tree.get("status", {}).get("replicas")]
        finished.sort(key=_revision)
        for tree in finished[: max(0, len(finished) - deployment["spec"]["revisionHistoryLimit"])]:
            self._control.store.remove(REPLICA_SETS, tree)

    def _write_status(self, deployment: Object, current: Object | None, old: list[Object]) -> None:
        sets = [
            self._control.store.find(REPLICA_SETS, meta(tree)["namespace"], meta(tree)["name"]) or tree for tree in old
        ]
        sets.extend([current] if current else [])
        wanted = deployment["spec"]["replicas"]
        totals = {
            name: sum(tree.get("status", {}).get(name, 0) for tree in sets)
            for name in ("replicas", "readyReplicas", "availableReplicas")
        }
        status: Object = {
            "observedGeneration": meta(deployment)["generation"],
            **{name: total for name, total in totals.items() if total},
        }
        if current and current.get("status", {}).get("replicas"):
            status["updatedReplicas"] = current["status"]["replicas"]
        missing = max(0, wanted - totals["availableReplicas"])
        if missing:
            status["unavailableReplicas"] = missing
        status["conditions"] = self._conditions(deployment, current, available=not missing)
        self._control.write_status(DEPLOYMENTS, deployment, status)

    def _conditions(self, deployment: Object, current: Object | None, *, available: bool) -> list[Object]:
        now = self._control.clock.timestamp()
        conditions = deployment.get("status", {}).get("conditions", [])
        reason, status = ("MinimumReplicasAvailable", "True") if available else ("MinimumReplicasUnavailable", "False")
        message = f"Deployment {'has' if available else 'does not have'} minimum availability."
        conditions = with_condition(conditions, condition("Available", status, now, reason=reason, message=message))
        conditions = with_condition(conditions, self._progress(deployment, current, available=available))
        conditions = [each for each in conditions if each["type"] != "ReplicaFailure"]
        failure = condition_of(current, "ReplicaFailure") if current else None
        return [*conditions, failure] if failure else conditions

    def _progress(self, deployment: Object, current: Object | None, *, available: bool) -> Object:
        now = self._control.clock.timestamp()
        name = meta(current)["name"] if current else meta(deployment)["name"]
        if available:
            message = f'ReplicaSet "{name}" has successfully progressed.'
            return condition("Progressing", "True", now, reason="NewReplicaSetAvailable", message=message)
        message = f'ReplicaSet "{name}" is progressing.'
        return condition("Progressing", "True", now, reason="ReplicaSetUpdated", message=message)


def template_hash(deployment: Object) -> str:
    """Not the real one's function, but as stable and of the same look."""
    digest = hashlib.sha256(orjson.dumps(deployment["spec"]["template"], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return digest[:10]


def _hash(tree: Object) -> str:
    return str(meta(tree)["labels"].get(HASH_LABEL, ""))


def _revision(tree: Object) -> int:
    return int(meta(tree).get("annotations", {}).get(REVISION, "0"))


def _available(tree: Object) -> int:
    return int(tree.get("status", {}).get("availableReplicas", 0))


def _replica_set(deployment: Object, revision: int) -> Object:
    template = copied(deployment["spec"]["template"])
    hash_ = template_hash(deployment)
    labels = {**template.setdefault("metadata", {}).get("labels", {}), HASH_LABEL: hash_}
    template["metadata"]["labels"] = labels
    selector = copied(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = hash_
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta(deployment)['name']}-{hash_}",
            "namespace": meta(deployment)["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [controller_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": deployment["spec"]["replicas"], "selector": selector, "template": template},
    }
