"""The kinds of objects that the server keeps, as discovery lists them in Kubernetes 1.34."""

from dataclasses import dataclass
from typing import Any

# An object as it travels: the tree of its JSON.
Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One resource of the API. `subresources` are those that the server answers."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """What messages call it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


def _core(plural: str, name: str, *subresources: str) -> Kind:
    return Kind("", "v1", plural, name, subresources=frozenset(subresources))


def _cluster_wide(group: str, plural: str, name: str, *subresources: str) -> Kind:
    return Kind(group, "v1", plural, name, namespaced=False, subresources=frozenset(subresources))


def _grouped(group: str, plural: str, name: str, *subresources: str) -> Kind:
    return Kind(group, "v1", plural, name, subresources=frozenset(subresources))


_RBAC = "rbac.authorization.k8s.io"

NAMESPACES = _cluster_wide("", "namespaces", "Namespace", "status")
PODS = _core("pods", "Pod", "status", "resize", "eviction")
SERVICES = _core("services", "Service", "status")
CLAIMS = _core("persistentvolumeclaims", "PersistentVolumeClaim", "status")
SERVICE_ACCOUNTS = _core("serviceaccounts", "ServiceAccount", "token")
QUOTAS = _core("resourcequotas", "ResourceQuota", "status")
LIMIT_RANGES = _core("limitranges", "LimitRange")
EVENTS = _core("events", "Event")
CONFIG_MAPS = _core("configmaps", "ConfigMap")
DEPLOYMENTS = _grouped("apps", "deployments", "Deployment", "status", "scale")
REPLICA_SETS = _grouped("apps", "replicasets", "ReplicaSet", "status", "scale")
ROLES = _grouped(_RBAC, "roles", "Role")
ROLE_BINDINGS = _grouped(_RBAC, "rolebindings", "RoleBinding")
CLUSTER_ROLES = _cluster_wide(_RBAC, "clusterroles", "ClusterRole")
CLUSTER_ROLE_BINDINGS = _cluster_wide(_RBAC, "clusterrolebindings", "ClusterRoleBinding")

KINDS: tuple[Kind, ...] = (
    NAMESPACES,
    PODS,
    SERVICES,
    CLAIMS,
    SERVICE_ACCOUNTS,
    QUOTAS,
    LIMIT_RANGES,
    EVENTS,
    CONFIG_MAPS,
    _core("secrets", "Secret"),
    _cluster_wide("", "nodes", "Node", "status"),
    _cluster_wide("", "persistentvolumes", "PersistentVolume", "status"),
    DEPLOYMENTS,
    REPLICA_SETS,
    _grouped("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
    _grouped("networking.k8s.io", "ingresses", "Ingress", "status"),
    _grouped("policy", "poddisruptionbudgets", "PodDisruptionBudget", "status"),
    Kind(
        "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", subresources=frozenset({"status"})
    ),
    _grouped("coordination.k8s.io", "leases", "Lease"),
    _cluster_wide("storage.k8s.io", "storageclasses", "StorageClass"),
    _cluster_wide("node.k8s.io", "runtimeclasses", "RuntimeClass"),
    _cluster_wide("scheduling.k8s.io", "priorityclasses", "PriorityClass"),
    _cluster_wide("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "status"),
    _cluster_wide(
        "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
    ),
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
)

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_PLURAL = {kind.plural: kind for kind in KINDS}


def kind_at(group: str, version: str, plural: str) -> Kind | None:
    """The kind that this part of a path names, None when the server has none."""
    return _BY_PATH.get((group, version, plural))


def kind_called(plural: str) -> Kind:
    """The kind by its plural alone, for tests. Raises KeyError."""
    return _BY_PLURAL[plural]


def kind_of(tree: Object) -> Kind:
    """The kind that an object says it is. Raises KeyError."""
    return kind_named(str(tree["apiVersion"]), str(tree["kind"]))


def kind_named(api_version: str, name: str) -> Kind:
    """The kind by its apiVersion and name. Raises KeyError."""
    for kind in KINDS:
        if kind.api_version == api_version and kind.name == name:
            return kind
    raise KeyError(f"{api_version} {name}")
