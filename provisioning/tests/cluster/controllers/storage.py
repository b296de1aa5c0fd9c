"""Volume claims: bound when a pod is scheduled that uses them, grown when asked, kept while they are used.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/. The volumes themselves are no objects here.
"""

from provisioning.tests.cluster.admission import PVC_PROTECTION
from provisioning.tests.cluster.controllers.control import Control
from provisioning.tests.cluster.controllers.garbage import without_finalizer
from provisioning.tests.cluster.kinds import CLAIMS, PODS, Object
from provisioning.tests.cluster.plans import Plans, Trouble
from provisioning.tests.cluster.store import Change, meta


class Storage:
    """The provisioner, the resizer and the protection of claims in use."""

    def __init__(self, control: Control, plans: Plans) -> None:
        self._control = control
        self._plans = plans
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        if change.kind is CLAIMS and change.type == "MODIFIED":
            self._soon(meta(change.tree)["namespace"], meta(change.tree)["name"])
        elif change.kind is PODS and change.type == "DELETED":
            for name in claims_of(change.tree):
                self._soon(meta(change.tree)["namespace"], name)

    def _soon(self, namespace: str, name: str) -> None:
        self._control.soon(("claim", namespace, name), lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        claim = self._control.store.find(CLAIMS, namespace, name)
        if claim is None:
            return
        if "deletionTimestamp" in meta(claim):
            self._release(claim)
        elif claim.get("status", {}).get("phase") == "Bound":
            self._control.write_status(CLAIMS, claim, _bound(claim))

    def _release(self, claim: Object) -> None:
        pods = self._control.store.listed(PODS, meta(claim)["namespace"])
        in_use = any(meta(claim)["name"] in claims_of(pod) and not _ended(pod) for pod in pods)
        if not in_use and PVC_PROTECTION in meta(claim).get("finalizers", []):
            self._control.store.replace(CLAIMS, without_finalizer(claim, PVC_PROTECTION))

    def why_unbound(self, pod: Object) -> str:
        """Bind the claims of a pod that is being scheduled; what the scheduler says when one can't be."""
        for name in claims_of(pod):
            claim = self._control.store.find(CLAIMS, meta(pod)["namespace"], name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if "deletionTimestamp" in meta(claim):
                return f'persistentvolumeclaim "{name}" is being deleted'
            if claim.get("status", {}).get("phase") == "Bound":
                continue
            if self._plans.befalls(meta(pod)["name"], Trouble.CLAIM_PENDING):
                self._say_failed(claim, self._plans.of(meta(pod)["name"]).message)
                return "pod has unbound immediate PersistentVolumeClaims"
            bound = self._control.write_spec(CLAIMS, claim, volumeName=f"pvc-{meta(claim)['uid']}")
            self._control.write_status(CLAIMS, bound, _bound(bound))
        return ""

    def _say_failed(self, claim: Object, message: str) -> None:
        class_ = claim["spec"]["storageClassName"]
        why = message or "rpc error: code = ResourceExhausted desc = not enough free capacity"
        text = f'failed to provision volume with StorageClass "{class_}": {why}'
        self._control.event((CLAIMS, claim), "ProvisioningFailed", text, warning=True)


def claims_of(pod: Object) -> list[str]:
    """The claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume]


def _bound(claim: Object) -> Object:
    spec = claim["spec"]
    capacity = {"storage": spec["resources"]["requests"]["storage"]}
    return {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": capacity}


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
