"""Delete one object or a selection: preconditions, grace, finalizers, and what becomes of dependents.

Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and …/overview/working-with-objects/finalizers/.
"""

from dataclasses import dataclass

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.kinds import CLAIMS, PODS, Kind, Object
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.selectors import selector
from provisioning.tests.cluster.store import Store, copied, meta
from provisioning.tests.cluster.writes import check_preconditions

FOREGROUND = "foregroundDeletion"
_POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class Options:
    """DeleteOptions, from the body or the query."""

    policy: str = "Background"
    grace_s: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False


def options_of(request: Request) -> Options:
    """Raises Refused 400 or 422."""
    body = request.tree() if request.body else {}
    given = body if isinstance(body, dict) else {}
    policy = given.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
    if policy not in _POLICIES:
        message = f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{policy}"'
        raise statuses.Refused(422, "Invalid", message)
    grace = given.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    preconditions = given.get("preconditions") or {}
    return Options(
        policy=policy,
        grace_s=int(grace) if grace is not None else None,
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
        dry_run=request.dry_run or given.get("dryRun") == ["All"],
    )


class Deletions:
    """The deleting half of the API."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def delete(self, request: Request) -> Object:
        """The object when it still has to wait for something, else a Status of success. Raises Refused 404 and 409."""
        target = request.target
        live = self._store.get(target.kind, target.namespace, target.name)
        left = self.delete_tree(target.kind, live, options_of(request))
        # https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/registry/core: these answer with the object always.
        if left is None and target.kind in {PODS, CLAIMS}:
            return live
        return left or statuses.success(target.kind, target.name, meta(live)["uid"])

    def delete_selected(self, request: Request) -> Object:
        """Delete each object that is selected; gives the list of them."""
        kind, options = request.target.kind, options_of(request)
        chosen = selector(
            kind, labels=request.query.get("labelSelector", ""), fields=request.query.get("fieldSelector", "")
        )
        found = [tree for tree in self._store.listed(kind, request.target.namespace) if chosen(tree)]
        for tree in found:
            self.delete_tree(kind, tree, options)
        metadata = {"resourceVersion": str(self._store.version)}
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": found}

    def delete_tree(self, kind: Kind, live: Object, options: Options) -> Object | None:
        """Delete as far as may be; gives what is left of the object, None when it is gone. Raises Refused 409."""
        check_preconditions(kind, live, {"resourceVersion": options.version, "uid": options.uid})
        if options.dry_run:
            return live
        if options.policy == "Orphan":
            self._orphan_dependents(live)
        grace_s = self._grace(kind, live, options)
        finalizers = list(meta(live).get("finalizers", []))
        if options.policy == "Foreground" and FOREGROUND not in finalizers:
            finalizers.append(FOREGROUND)
        if not finalizers and grace_s == 0:
            self._store.remove(kind, live)
            return None
        return self._mark(kind, live, finalizers=finalizers, grace_s=grace_s)

    def _mark(self, kind: Kind, live: Object, *, finalizers: list[str], grace_s: int) -> Object:
        """Set the deletion time; a second deletion can only shorten the grace."""
        tree = copied(live)
        before = meta(live).get("deletionGracePeriodSeconds")
        if finalizers:
            tree["metadata"]["finalizers"] = finalizers
        tree["metadata"]["deletionGracePeriodSeconds"] = grace_s if before is None else min(grace_s, before)
        tree["metadata"].setdefault("deletionTimestamp", self._clock.timestamp(grace_s))
        return self._store.replace(kind, tree)

    def _grace(self, kind: Kind, live: Object, options: Options) -> int:
        """Only a pod that runs somewhere has grace: its kubelet ends it."""
        if kind is not PODS or not live["spec"].get("nodeName"):
            return 0
        if live.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            return 0
        return int(live["spec"]["terminationGracePeriodSeconds"]) if options.grace_s is None else options.grace_s

    def _orphan_dependents(self, live: Object) -> None:
        uid = meta(live)["uid"]
        for kind, dependent in list(self._store.owned_by(uid)):
            self._store.replace(kind, without_owner(dependent, uid))


def without_owner(dependent: Object, uid: str) -> Object:
    """The object without its reference to this owner."""
    tree = copied(dependent)
    left = [reference for reference in meta(tree)["ownerReferences"] if reference["uid"] != uid]
    if left:
        tree["metadata"]["ownerReferences"] = left
    else:
        del tree["metadata"]["ownerReferences"]
    return tree
