"""What would be applied to a cluster, printed for an operator; asks no cluster and works under any provisioner."""

from dataclasses import replace
from typing import Any

from accounts.licences import Licence
from provisioning.backends._kubernetes.manifests import manifests, namespace_manifests, volume_manifest
from provisioning.specs import spec_of


def render_workspace(licence: Licence) -> list[dict[str, Any]]:
    """The user's objects in the order in which they are applied. Raises WorkspaceFailed and ImproperlyConfigured.

    The Service will also name its Deployment as its owner, whose uid only the cluster knows.
    """
    return manifests(spec_of(licence)).all()


def render_volume(licence: Licence, *, snapshot: str, storage: str) -> list[dict[str, Any]]:
    """The user's volume alone, from a snapshot if one is named, of another size if one is given. Raises as above."""
    spec = spec_of(licence)
    return [volume_manifest(replace(spec, storage=storage or spec.storage), snapshot=snapshot)]


def render_namespace() -> list[dict[str, Any]]:
    """What stands once for all workspaces. Raises ImproperlyConfigured."""
    return namespace_manifests()
