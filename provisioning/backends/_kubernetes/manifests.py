"""What the gateway sends for a workspace, built from the licence and the templates without asking anybody."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from accounts.tiers import LIMITS, Tier
from provisioning.backends import Spec
from provisioning.backends._kubernetes.templates import Tree, filled, namespace_files
from provisioning.backends._kubernetes.values import api_servers, cores, size, values

MANAGER = "dexorder-gateway"
MANAGED_BY = "app.kubernetes.io/managed-by"
WORKSPACE = "dexorder.io/workspace"
TIER = "dexorder.io/tier"
# Who the user is, as a digest: the names above have too few bits to tell one user from all others.
USER = "dexorder.io/user-sha256"
# What the pod was made from, so that a change is seen without comparing trees.
TEMPLATE = "dexorder.io/template"
DEMAND = "dexorder.io/demand-at"
IDLE = "dexorder.io/idle-seconds"
ORPHANED = "dexorder.io/orphaned-at"
# What of a licence a pod was made from, so that a change of it can be told from an upgrade.
LICENCE = "dexorder.io/licence"
# What of everything else: the template, the images and the table of values, whoever's the workspace is.
RELEASE = "dexorder.io/release"
# Since when there has been no valid licence, as far as is known.
ENDED = "dexorder.io/licence-ended-at"
SELECTOR = f"{MANAGED_BY}={MANAGER}"
KEYS = "dexorder-workspace-keys"


@dataclass(frozen=True)
class Manifests:
    """The four objects of a workspace, in the order in which they are applied.

    `template` is the mark of its pod, `release` that of what the pod has from no licence.
    """

    account: Tree
    volume: Tree
    deployment: Tree
    service: Tree
    template: str
    release: str

    def all(self) -> list[Tree]:
        """The objects in that order."""
        return [self.account, self.volume, self.deployment, self.service]


def manifests(spec: Spec, *, owner_uid: str | None = None) -> Manifests:
    """The objects of a workspace; the Service belongs to the Deployment of `owner_uid`, which a first start learns only then.

    Raises ImproperlyConfigured when the table of values is wrong.
    """
    given = _values_of(spec)
    deployment = filled("deployment.yaml", given)[0]
    template = _mark(deployment["spec"]["template"])
    release = release_of(spec.tier)
    marks = {TEMPLATE: template, RELEASE: release, IDLE: str(spec.idle_s), LICENCE: licence_word(spec)}
    deployment["metadata"]["annotations"] = given["annotations"] | marks
    account, volume = (filled(file, given)[0] for file in ("serviceaccount.yaml", "persistentvolumeclaim.yaml"))
    return Manifests(account, volume, deployment, service_manifest(spec, owner_uid=owner_uid), template, release)


def release_of(tier: Tier) -> str:
    """The mark of what the pods of a tier are made from now, apart from their users' licences. Raises ImproperlyConfigured."""
    read = (settings.WORKSPACE_IMAGE, settings.SIDECAR_IMAGE, settings.WORKSPACE_VALUES, settings.KUBERNETES_NAMESPACE)
    return _release(tier, *map(str, read))


@lru_cache(maxsize=32)
def _release(tier: Tier, *_settings: str) -> str:
    """Built once for the settings that it is built from."""
    usual = LIMITS[tier]
    nobody = Spec("", "", tier, idle_s=0, memory=usual.memory, cpu=usual.cpu, storage=usual.storage)
    return _mark(filled("deployment.yaml", _values_of(nobody))[0]["spec"]["template"])


def service_manifest(spec: Spec, *, owner_uid: str | None) -> Tree:
    """The Service alone, once the uid of its owner is known."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.name, "uid": owner_uid}
    return filled("service.yaml", _values_of(spec) | {"owners": [owner] if owner_uid else None})[0]


def volume_manifest(spec: Spec, *, snapshot: str) -> Tree:
    """The volume alone; with a `snapshot` its data are those of that VolumeSnapshot of the namespace, "" = none.

    https://kubernetes.io/docs/concepts/storage/volume-snapshots/#provisioning-volumes-from-snapshots
    """
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot}
    return filled("persistentvolumeclaim.yaml", _values_of(spec) | {"source": source if snapshot else None})[0]


def namespace_manifests() -> list[Tree]:
    """What an operator applies once for all workspaces: the namespace, what may be spoken with whom, quotas, roles."""
    table = values()
    namespace = settings.KUBERNETES_NAMESPACE
    given = {
        "namespace": namespace,
        "gateway_namespace": table.gateway_namespace,
        "gateway_service_account": table.gateway_service_account,
        "api_servers": [{"ipBlock": {"cidr": cidr}} for cidr in api_servers()],
        "workspace_group": f"system:serviceaccounts:{namespace}",
        "policy": f"dexorder-workspace-scale.{namespace}",
        "quota_pods": table.quota.pods,
        "quota_cpu": table.quota.requests_cpu,
        "quota_memory": table.quota.requests_memory,
        "quota_storage": table.quota.requests_storage,
    }
    return [document for file in namespace_files() for document in filled(file, given)]


def keys_manifest(public_pem: str) -> Tree:
    """The ConfigMap with the keys that workspaces trust."""
    labels = {MANAGED_BY: MANAGER}
    return filled(
        "keys.yaml", {"namespace": settings.KUBERNETES_NAMESPACE, "labels": labels, "public_pem": public_pem}
    )[0]


def licence_word(spec: Spec) -> str:
    """What of the licence is in the workspace's pod; its idle time, which can be changed in place, is not."""
    return f"{spec.tier} {spec.memory} {spec.cpu} {spec.storage}"


def user_digest(user_id: str) -> str:
    """The SHA-256 of a user id, in hexadecimal."""
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()


def _values_of(spec: Spec) -> dict[str, Any]:
    table = values()
    tier = table.tiers[spec.tier]
    return {
        "name": spec.name,
        "namespace": settings.KUBERNETES_NAMESPACE,
        "labels": {
            "app.kubernetes.io/name": "dexorder-workspace",
            MANAGED_BY: MANAGER,
            WORKSPACE: spec.name,
            TIER: spec.tier,
        },
        "selector": {WORKSPACE: spec.name},
        "annotations": {USER: user_digest(spec.user_id)},
        "replicas": 1,
        "runtime_class": tier.runtime_class,
        "storage_class": tier.storage_class,
        "source": None,
        "storage": spec.storage,
        "memory": spec.memory,
        "cpu": spec.cpu,
        "memory_request": min(tier.memory_request, spec.memory, key=size),
        "cpu_request": min(tier.cpu_request, spec.cpu, key=cores),
        # What the Dockerfiles' own words build; checks.py wants others in production.
        "workspace_image": settings.WORKSPACE_IMAGE or "dexorder-workspace:latest",
        "sidecar_image": settings.SIDECAR_IMAGE or "dexorder-sidecar:latest",
        "idle_seconds": str(spec.idle_s),
        "pull_secrets": [{"name": name} for name in table.image_pull_secrets] or None,
        "priority_class": tier.priority_class,
        "node_selector": tier.node_selector or None,
        "tolerations": tier.pod_tolerations or None,
        "do_not_disrupt": None if tier.evictable else "true",
        "safe_to_evict": None if tier.evictable else "false",
        "user": literal(spec.user_id),
        "tier": spec.tier,
        "quota_bytes": str(size(spec.storage)),
    }


def literal(text: str) -> str:
    """`text` for the value of a container's environment variable, where Kubernetes would put variables in for `$(NAME)`.

    `$$` stands for `$`: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
    """
    return text.replace("$", "$$")


def _mark(template: Mapping[str, object]) -> str:
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":")).encode("utf-8")
    return hashlib.sha256(canonical).hexdigest()[:16]
