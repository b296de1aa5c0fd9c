"""One request to the cluster, carried out: from its parts to a code and a tree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioning.tests.cluster import reads, statuses
from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.requests import Request


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    code: int
    tree: Any


def handled(cluster: Cluster, request: Request) -> Answer:
    """Everything but watches; the controllers have done what follows from it when this returns. Raises Refused."""
    return cluster.run(lambda: _handled(cluster, request))


def _handled(cluster: Cluster, request: Request) -> Answer:
    subresource = request.target.subresource
    if subresource == "resize" and not cluster.resizes_pods:
        raise statuses.no_such_path()
    if subresource == "token":
        return Answer(201, _token(cluster, request))
    if request.verb == "patch":
        return Answer(*cluster.writes.patch(request))
    handlers: dict[str, Callable[[], Object]] = {
        "get": lambda: reads.get(cluster.store, request),
        "list": lambda: reads.list_(cluster.store, request),
        "create": lambda: cluster.writes.create(request),
        "update": lambda: cluster.writes.update(request),
        "delete": lambda: cluster.deletions.delete(request),
        "deletecollection": lambda: cluster.deletions.delete_selected(request),
    }
    return Answer(201 if request.verb == "create" else 200, handlers[request.verb]())


def _token(cluster: Cluster, request: Request) -> Object:
    """TokenRequest: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/"""
    asked = request.tree()
    spec = asked.get("spec") or {} if isinstance(asked, dict) else {}
    lasting_s = max(600, int(spec.get("expirationSeconds") or 3600))
    token = cluster.identities.issue(request.target.namespace, request.target.name, lasting_s=lasting_s)
    status = {"token": token, "expirationTimestamp": cluster.clock.timestamp(lasting_s)}
    head = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": None}}
    return {**head, "spec": {"expirationSeconds": lasting_s, **spec}, "status": status}
