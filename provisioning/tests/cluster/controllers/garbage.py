"""Garbage collection by owner references, foreground deletion, and the emptying of a namespace.

Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from provisioning.tests.cluster.controllers.control import Control
from provisioning.tests.cluster.deletions import FOREGROUND, Options, without_owner
from provisioning.tests.cluster.kinds import KINDS, NAMESPACES, Object
from provisioning.tests.cluster.store import Change, copied, meta

KUBERNETES = "kubernetes"


class GarbageCollector:
    """Deletes what has lost its last owner."""

    def __init__(self, control: Control) -> None:
        self._control = control
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        uid = meta(change.tree)["uid"]
        if change.type == "DELETED":
            self._soon_collect(uid)
            for owner in meta(change.tree).get("ownerReferences", []):
                self._soon_finish(owner["uid"])
            if meta(change.tree).get("namespace"):
                self._soon_empty(meta(change.tree)["namespace"])
        elif "deletionTimestamp" in meta(change.tree):
            self._soon_finish(uid)
            if change.kind is NAMESPACES:
                self._soon_empty(meta(change.tree)["name"])
        elif change.type == "ADDED":
            # An owner that is not there, or no longer.
            for owner in meta(change.tree).get("ownerReferences", []):
                self._soon_collect(owner["uid"])

    def _soon_collect(self, uid: str) -> None:
        self._control.soon(("orphans", uid), lambda: self._collect(uid))

    def _collect(self, uid: str) -> None:
        """What the owner of this uid leaves behind, when there is no such owner."""
        if self._control.store.owner_is_there(uid):
            return
        for kind, dependent in list(self._control.store.owned_by(uid)):
            owners = meta(dependent)["ownerReferences"]
            if any(self._control.store.owner_is_there(owner["uid"]) for owner in owners):
                self._control.store.replace(kind, without_owner(dependent, uid))
            elif "deletionTimestamp" not in meta(dependent):
                self._control.deletions.delete_tree(kind, dependent, Options())

    def _soon_finish(self, uid: str) -> None:
        self._control.soon(("foreground", uid), lambda: self._finish(uid))

    def _finish(self, uid: str) -> None:
        """An owner that is deleted in the foreground goes when its dependents have gone."""
        found = self._control.store.by_uid(uid)
        if found is None or FOREGROUND not in meta(found[1]).get("finalizers", []):
            return
        left = [
            (kind, dependent)
            for kind, dependent in self._control.store.owned_by(uid)
            if any(
                owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in meta(dependent)["ownerReferences"]
            )
        ]
        for kind, dependent in left:
            if "deletionTimestamp" not in meta(dependent):
                self._control.deletions.delete_tree(kind, dependent, Options(policy="Foreground"))
        if not left:
            self._control.store.replace(found[0], without_finalizer(found[1], FOREGROUND))

    def _soon_empty(self, name: str) -> None:
        self._control.soon(("namespace", name), lambda: self._empty(name))

    def _empty(self, name: str) -> None:
        """A namespace that is deleted goes when nothing is left in it."""
        namespace = self._control.store.find(NAMESPACES, "", name)
        if namespace is None or "deletionTimestamp" not in meta(namespace):
            return
        left = [(kind, tree) for kind in KINDS if kind.namespaced for tree in self._control.store.listed(kind, name)]
        for kind, tree in left:
            if "deletionTimestamp" not in meta(tree):
                self._control.deletions.delete_tree(kind, tree, Options())
        if not left:
            self._control.store.replace(NAMESPACES, without_finalizer(namespace, KUBERNETES))


def without_finalizer(tree: Object, finalizer: str) -> Object:
    """The object with this finalizer done; without any left the store removes it."""
    after = copied(tree)
    after["metadata"]["finalizers"] = [each for each in meta(tree).get("finalizers", []) if each != finalizer]
    if not after["metadata"]["finalizers"]:
        del after["metadata"]["finalizers"]
    return after
