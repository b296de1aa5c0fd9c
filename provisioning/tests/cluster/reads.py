"""Get and list."""

import base64
from typing import Any

import orjson

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import Kind, Object
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.selectors import selector
from provisioning.tests.cluster.store import Store, meta


def get(store: Store, request: Request) -> Object:
    """One object, or its scale. Raises Refused 404."""
    target = request.target
    tree = store.get(target.kind, target.namespace, target.name)
    if target.subresource == "scale":
        return scale_of(target.kind, tree)
    if target.subresource not in {"", "status", "resize"}:
        raise statuses.method_not_allowed()
    return tree


def list_(store: Store, request: Request) -> Object:
    """A List: selected, cut at `limit`, with the version of the whole store to watch from.

    A real server shows later pages as they were at the first one; this one shows them as they are. Raises Refused 400,
    and 410 for a `continue` that is older than the compaction.
    """
    kind = request.target.kind
    _check_version(store, request)
    matches = selector(
        kind, labels=request.query.get("labelSelector", ""), fields=request.query.get("fieldSelector", "")
    )
    version, after = _continued(store, request.query.get("continue", ""))
    found = [tree for tree in store.listed(kind, request.target.namespace) if _place(tree) > after and matches(tree)]
    limit = request.number("limit") or len(found)
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if len(found) > limit:
        metadata["continue"] = _token(version, _place(found[limit - 1]))
        metadata["remainingItemCount"] = len(found) - limit
    return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": found[:limit]}


def _check_version(store: Store, request: Request) -> None:
    version = request.number("resourceVersion")
    match = request.query.get("resourceVersionMatch", "")
    if match and not request.query.get("resourceVersion"):
        raise statuses.bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and version <= store.floor:
        raise statuses.expired(version, store.floor)
    if version > store.version:
        # https://kubernetes.io/docs/reference/using-api/api-concepts/#unavailable-resource-versions
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        message = f"Too large resource version: {version}, current: {store.version}"
        raise statuses.Refused(504, "Timeout", message, {"causes": causes}, 1)


def _place(tree: Object) -> list[str]:
    return [meta(tree).get("namespace", ""), meta(tree)["name"]]


def _token(version: int, place: list[str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": version, "after": place})).decode()


def _continued(store: Store, token: str) -> tuple[int, list[str]]:
    if not token:
        return store.version, []
    try:
        tree = orjson.loads(base64.urlsafe_b64decode(token))
        version, after = int(tree["v"]), list(tree["after"])
    except (ValueError, KeyError, TypeError) as error:
        raise statuses.bad_request("continue key is not valid") from error
    if version < store.floor:
        raise statuses.expired_continue()
    return version, after


def scale_of(kind: Kind, tree: Object) -> Object:
    """The Scale of a Deployment or ReplicaSet; its version is the object's own."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = tree["spec"]["selector"].get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta(tree)[name] for name in kept},
        "spec": {"replicas": tree["spec"]["replicas"]} if tree["spec"]["replicas"] else {},
        "status": {
            "replicas": tree.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
