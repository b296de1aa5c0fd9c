"""Create, update, patch, apply and delete: from a request to what the store keeps.

The order is the real server's: decode, merge, fill in, admit, validate, store.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provisioning.tests.cluster import managers, statuses
from provisioning.tests.cluster.admission import Admission
from provisioning.tests.cluster.defaults import fill_in
from provisioning.tests.cluster.kinds import DEPLOYMENTS, NAMESPACES, Kind, Object
from provisioning.tests.cluster.patches import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC, patched
from provisioning.tests.cluster.policies import check_policies
from provisioning.tests.cluster.reads import scale_of
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.scales import replicas_of
from provisioning.tests.cluster.store import Store, copied, meta
from provisioning.tests.cluster.validation import check_change, check_new, decoded

# Raises Refused 403 when the request's user may not do it.
Authorize = Callable[[Request], None]

# What names are made of where the server chooses them: no vowels, nothing that looks like another.
# https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

# What a client may not change: it is put back.
_FIXED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


class Writes:
    """The writing half of the API."""

    def __init__(self, store: Store, admission: Admission, authorize: Authorize) -> None:
        self._store = store
        self._admission = admission
        self._authorize = authorize
        self._random = random.Random(1)  # noqa: S311 - names in a test

    def create(self, request: Request) -> Object:
        """POST of an object. Raises Refused."""
        tree = decoded(request)
        kind = request.target.kind
        check_belongs(request, tree)
        tree = managers.tracked(None, without_system_fields(tree), self._writer(request))
        return self.create_tree(kind, tree, request)

    def create_tree(self, kind: Kind, tree: Object, request: Request | None = None) -> Object:
        """Admit, check and store a new object: a client's by its request, or a controller's. Raises Refused."""
        tree = copied(tree)
        metadata = tree["metadata"]
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(self._random.choices(NAME_LETTERS, k=5))
        if kind.has_status:
            tree.pop("status", None)
        fill_in(kind, tree)
        if kind.namespaced and self._store.find(*namespace_key(metadata["namespace"])) is None:
            raise statuses.not_found(namespace_key("")[0], metadata["namespace"])
        self._admission.admit_new(kind, tree)
        check_new(kind, tree)
        if request:
            check_policies(self._store, request, None, tree)
        if request and request.dry_run:
            if self._store.find(kind, metadata.get("namespace", ""), metadata["name"]):
                raise statuses.already_exists(kind, metadata["name"])
            return tree
        return self._store.create(kind, tree)

    def update(self, request: Request) -> Object:
        """PUT. Raises Refused; 409 when the resourceVersion or uid that it carries is another."""
        tree = decoded(request)
        live = self._live(request)
        if request.target.subresource == "scale":
            return self._scale(request, live, tree)
        check_belongs(request, tree)
        return self._change(request, live, tree)

    def patch(self, request: Request) -> tuple[int, Object]:
        """PATCH: the code (201 when an apply created the object) and the object. Raises Refused."""
        if request.content_type == APPLY:
            return self._apply(request)
        if request.content_type not in {JSON_PATCH, MERGE_PATCH, STRATEGIC}:
            raise statuses.unsupported_media_type(", ".join((JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY)))
        live = self._live(request)
        if request.target.subresource == "scale":
            scale = scale_of(request.target.kind, live)
            return 200, self._scale(request, live, patched(scale, request.tree(), request.content_type))
        after = patched(live, request.tree(), request.content_type)
        check_belongs(request, after)
        check_patched(request.target.kind, live, after["metadata"])
        return 200, self._change(request, live, after)

    def _apply(self, request: Request) -> tuple[int, Object]:
        if not request.query.get("fieldManager"):
            why = "fieldManager: Required value: is required for apply patch"
            raise statuses.Refused(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {why}')
        config = decoded(request)
        check_belongs(request, config)
        if "managedFields" in config["metadata"]:
            raise statuses.bad_request("metadata.managedFields must be nil")
        target = request.target
        live = self._store.find(target.kind, target.namespace, target.name)
        writer = self._writer(request)
        if live is None:
            if target.subresource:
                raise statuses.not_found(target.kind, target.name)
            # Who applies what is not there has to be allowed to create it, too.
            self._authorize(replace(request, verb="create"))
            created = managers.applied(None, without_system_fields(config), writer, force=False)
            return 201, self.create_tree(target.kind, created, request)
        check_patched(target.kind, live, config["metadata"])
        tree = managers.applied(live, without_system_fields(config), writer, force=request.flag("force"))
        return 200, self._store_change(request, live, tree)

    def _change(self, request: Request, live: Object, tree: Object) -> Object:
        check_preconditions(request.target.kind, live, tree["metadata"])
        tree = restricted(request.target.subresource, live, tree)
        # Defaults come first, so that what the client left to them is no change.
        fill_in(request.target.kind, tree)
        return self._store_change(request, live, managers.tracked(live, tree, self._writer(request)))

    def _store_change(self, request: Request, live: Object, tree: Object) -> Object:
        kind = request.target.kind
        tree = restricted(request.target.subresource, live, copied(tree))
        if request.target.subresource != "status":
            fill_in(kind, tree)
            self._admission.admit_change(kind, live, tree, request.target.subresource)
            check_change(kind, live, tree, request.target.subresource)
        check_policies(self._store, request, live, tree)
        if _unchanged(live, tree):
            return live
        if kind is DEPLOYMENTS and meta(tree).get("annotations") != meta(live).get("annotations"):
            # A Deployment's annotations count as a change of it, but not those that its controller writes with the status:
            # https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/registry/apps/deployment/strategy.go
            tree["metadata"]["generation"] += request.target.subresource == "" and tree["spec"] == live["spec"]
        return tree if request.dry_run else self._store.replace(kind, tree)

    def _scale(self, request: Request, live: Object, scale: Object) -> Object:
        """Write the replicas alone; the Scale's resourceVersion is a precondition. Raises Refused 409 and 422."""
        kind = request.target.kind
        check_preconditions(kind, live, scale.get("metadata") or {})
        tree = copied(live)
        tree["spec"]["replicas"] = replicas_of(kind, scale)
        # A policy sees the typed object as JSON, whose `replicas` is omitted when it is 0:
        # https://github.com/kubernetes/api/blob/v0.34.0/autoscaling/v1/types.go
        replicas = tree["spec"]["replicas"]
        asked = {**scale, "spec": {"replicas": replicas} if replicas else {}}
        check_policies(self._store, request, scale_of(kind, live), asked)
        tree = managers.tracked(live, tree, self._writer(request))
        if not _unchanged(live, tree) and not request.dry_run:
            tree = self._store.replace(kind, tree)
        return scale_of(kind, tree)

    def _live(self, request: Request) -> Object:
        target = request.target
        return self._store.get(target.kind, target.namespace, target.name)

    def _writer(self, request: Request) -> managers.Writer:
        return managers.Writer(request.manager, request.target.subresource, self._store.timestamp())


def namespace_key(name: str) -> tuple[Kind, str, str]:
    return NAMESPACES, "", name


def check_belongs(request: Request, tree: Object) -> None:
    """The body's kind, name and namespace are the path's; a left-out namespace is filled in. Raises Refused 400."""
    target, metadata = request.target, tree["metadata"]
    if (tree.get("apiVersion"), tree.get("kind")) != (target.kind.api_version, target.kind.name):
        given = f"{tree.get('apiVersion')}, Kind={tree.get('kind')}"
        wanted = f"{target.kind.api_version}, Kind={target.kind.name}"
        raise statuses.bad_request(f"the object provided is unrecognized or of another kind ({given}, wanted {wanted})")
    if target.kind.namespaced and metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise statuses.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name and metadata.setdefault("name", target.name) != target.name:
        raise statuses.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )


def check_preconditions(kind: Kind, live: Object | None, metadata: Object) -> None:
    """Optimistic locking: a resourceVersion or uid in a write must be the object's. Raises Refused 409."""
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    name = metadata.get("name") or (meta(live)["name"] if live else "")
    if version and (live is None or version != meta(live)["resourceVersion"]):
        raise statuses.modified(kind, name)
    if uid and (live is None or uid != meta(live)["uid"]):
        has = meta(live)["uid"] if live else ""
        raise statuses.conflict(
            kind, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {has}"
        )


def check_patched(kind: Kind, live: Object, metadata: Object) -> None:
    """A patch's resourceVersion must be the object's, else Refused 409; its uid is a change of what can't be changed, 422.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go
    """
    check_preconditions(kind, live, {**metadata, "uid": ""})
    uid, has = metadata.get("uid"), meta(live)["uid"]
    if uid and uid != has:
        problem = f'Invalid value: "{uid}": field is immutable'
        raise statuses.invalid(kind, meta(live)["name"], [("metadata.uid", problem)])


def without_system_fields(tree: Object) -> Object:
    """A client's object without what only the server sets."""
    dropped = {*_FIXED, "resourceVersion", "managedFields"}
    return {**tree, "metadata": {name: value for name, value in meta(tree).items() if name not in dropped}}


def restricted(subresource: str, live: Object, tree: Object) -> Object:
    """A change of a part changes that part alone: status, or all but status."""
    if subresource == "status":
        return {**live, "status": tree.get("status", {}), "metadata": {**meta(live), **_managed(tree)}}
    fixed = {name: meta(live)[name] for name in _FIXED if name in meta(live)}
    metadata = {name: value for name, value in meta(tree).items() if name not in _FIXED}
    after: dict[str, Any] = {
        **tree,
        "metadata": {**metadata, **fixed, "resourceVersion": meta(live)["resourceVersion"]},
    }
    after.pop("status", None)
    if "status" in live:
        after["status"] = live["status"]
    return after


def _managed(tree: Object) -> Object:
    return {"managedFields": meta(tree)["managedFields"]} if "managedFields" in meta(tree) else {}


def _unchanged(live: Object, tree: Object) -> bool:
    """A write that changes nothing but who last wrote is none: the version stays."""
    return _without_times(live) == _without_times(tree)


def _without_times(tree: Object) -> Object:
    entries = [{**each, "time": ""} for each in meta(tree).get("managedFields", [])]
    return {**tree, "metadata": {**meta(tree), "managedFields": entries}}
