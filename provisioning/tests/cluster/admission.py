"""What is admitted: service accounts, Pod Security, LimitRange, ResourceQuota, and what admission adds to an object.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from provisioning.tests.cluster import quotas, statuses
from provisioning.tests.cluster.kinds import CLAIMS, NAMESPACES, PODS, SERVICE_ACCOUNTS, SERVICES, Kind, Object
from provisioning.tests.cluster.pod_security import violations
from provisioning.tests.cluster.store import Store, meta

PVC_PROTECTION = "kubernetes.io/pvc-protection"
DEFAULT_CLASS = "standard"


class Admission:
    """The admission chain. It changes the tree that it is given."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ledger = quotas.Ledger(store)
        self._addresses = 0

    def admit_new(self, kind: Kind, tree: Object) -> None:
        """Raises Refused 403."""
        if kind.namespaced:
            self._check_namespace(kind, tree)
        if kind is NAMESPACES:
            # A namespace that is deleted empties first. The real one has this finalizer in its spec.
            tree["metadata"]["finalizers"] = ["kubernetes"]
            labels = tree["metadata"].setdefault("labels", {})
            labels["kubernetes.io/metadata.name"] = tree["metadata"]["name"]
            tree["status"] = {"phase": "Active"}
        elif kind is PODS:
            self._admit_pod(tree)
            tree["status"] = {"phase": "Pending", "qosClass": "Burstable"}
        elif kind is CLAIMS:
            tree["spec"].setdefault("storageClassName", DEFAULT_CLASS)
            tree["metadata"]["finalizers"] = sorted({*meta(tree).get("finalizers", []), PVC_PROTECTION})
            tree["status"] = {"phase": "Pending"}
        elif kind is SERVICES:
            self._give_address(tree)
        self.ledger.check_new(kind, tree)

    def admit_change(self, kind: Kind, live: Object, tree: Object, subresource: str) -> None:
        """Raises Refused 403."""
        if kind is CLAIMS or (kind is PODS and subresource == "resize"):
            self.ledger.check_growth(kind, live, tree)

    def _check_namespace(self, kind: Kind, tree: Object) -> None:
        namespace = self._store.find(*_namespace(meta(tree)["namespace"]))
        if namespace and "deletionTimestamp" in meta(namespace):
            name = meta(namespace)["name"]
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise statuses.forbidden(kind, meta(tree)["name"], why)

    def _admit_pod(self, tree: Object) -> None:
        spec, metadata = tree["spec"], meta(tree)
        account = spec.setdefault("serviceAccountName", "default")
        spec["serviceAccount"] = account
        if self._store.find(SERVICE_ACCOUNTS, metadata["namespace"], account) is None:
            why = f'error looking up service account {metadata["namespace"]}/{account}: serviceaccount "{account}" not found'
            raise statuses.forbidden(PODS, metadata["name"], why)
        quotas.apply_limit_ranges(self._store, tree)
        namespace = self._store.get(*_namespace(metadata["namespace"]))
        level = meta(namespace).get("labels", {}).get("pod-security.kubernetes.io/enforce", "privileged")
        found = violations(level, spec)
        if found:
            why = f'violates PodSecurity "{level}:latest": {", ".join(found)}'
            raise statuses.forbidden(PODS, metadata["name"], why)

    def _give_address(self, tree: Object) -> None:
        if "clusterIP" not in tree["spec"]:
            self._addresses += 1
            tree["spec"]["clusterIP"] = f"10.96.{self._addresses // 250}.{self._addresses % 250 + 1}"
        tree["spec"].setdefault("clusterIPs", [tree["spec"]["clusterIP"]])


def _namespace(name: str) -> tuple[Kind, str, str]:
    return NAMESPACES, "", name
