"""The objects and their history: one counter gives every write its resourceVersion, as etcd does.

An object that the store hands out is shared and never changed: a write stores another tree.
"""

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import orjson

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.kinds import Kind, Object

# etcd keeps five minutes by default; the fake keeps a number, so that a test's length doesn't matter.
KEPT_CHANGES = 200_000

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[Kind, str, str]


@dataclass(frozen=True)
class Change:
    """One write. `previous` is the object before it; of a deletion, `tree` is the last state with the deletion's version."""

    type: ChangeType
    kind: Kind
    tree: Object
    previous: Object | None
    version: int

    @cached_property
    def json(self) -> bytes:
        """The object as it travels; watchers share it."""
        return orjson.dumps(self.tree)


def copied(tree: Object) -> Object:
    """A tree of one's own to change."""
    copy: Object = orjson.loads(orjson.dumps(tree))
    return copy


def meta(tree: Object) -> Object:
    metadata: Object = tree["metadata"]
    return metadata


class Store:
    """What etcd and the registry do: no validation, no admission. `listeners` hear each change at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = {}
        self._owned: dict[str, set[Key]] = {}
        self._by_uid: dict[str, Key] = {}
        self._uids = itertools.count(1)
        self.version = 1
        self.floor = self.version
        self._changes: list[Change] = []
        self.listeners: list[Callable[[Change], None]] = []

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Raises Refused 404."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise statuses.not_found(kind, name)
        return found

    def listed(self, kind: Kind, namespace: str = "") -> list[Object]:
        """In the order of namespace and name; without a namespace, of all."""
        held = self._objects.get(kind, {})
        return [held[key] for key in sorted(held) if not namespace or key[0] == namespace]

    def owned_by(self, uid: str) -> Iterator[tuple[Kind, Object]]:
        """The objects that have an owner reference to this uid."""
        for kind, namespace, name in sorted(self._owned.get(uid, ()), key=lambda key: (key[0].resource, *key[1:])):
            yield kind, self._objects[kind][namespace, name]

    def owner_is_there(self, uid: str) -> bool:
        return uid in self._by_uid

    def by_uid(self, uid: str) -> tuple[Kind, Object] | None:
        key = self._by_uid.get(uid)
        return (key[0], self._objects[key[0]][key[1:]]) if key else None

    def create(self, kind: Kind, tree: Object) -> Object:
        """Store a new object with uid, creation time and version. Raises Refused 409."""
        key = self._key(kind, tree)
        if key in self._objects.setdefault(kind, {}):
            raise statuses.already_exists(kind, key[1])
        metadata = {
            **meta(tree),
            # As long as a real one, and the same in each virtual run.
            "uid": str(uuid.UUID(int=next(self._uids), version=4)),
            "creationTimestamp": self._clock.timestamp(),
        }
        if "spec" in tree and kind.plural != "namespaces":
            metadata["generation"] = 1
        return self._write("ADDED", kind, {**tree, "metadata": metadata})

    def replace(self, kind: Kind, tree: Object) -> Object:
        """Store the next state of an object; one that is the same keeps its version, as in etcd. Raises Refused 404."""
        before = self.get(kind, *self._key(kind, tree))
        metadata = {**meta(tree), "resourceVersion": meta(before)["resourceVersion"]}
        after = {**tree, "metadata": metadata}
        if "generation" in meta(before):
            changed = before.get("spec") != after.get("spec")
            metadata["generation"] = max(metadata["generation"], meta(before)["generation"] + changed)
        if after == before:
            return before
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and not _graceful(metadata):
            self.remove(kind, after)
            return after
        return self._write("MODIFIED", kind, after)

    def remove(self, kind: Kind, tree: Object) -> None:
        """Take an object away, whatever holds it. Raises Refused 404."""
        self.get(kind, *self._key(kind, tree))
        self._write("DELETED", kind, tree)

    def compact(self) -> None:
        """Forget the history, as etcd does every five minutes: who watches from an older version gets 410."""
        self._changes.clear()
        self.floor = self.version

    def since(self, version: int) -> list[Change]:
        """The changes after this version. Raises Refused 410 when some of them are forgotten."""
        if version < self.floor:
            raise statuses.expired(version, self.floor)
        # Each write is one change and one version.
        return self._changes[version - self.floor :]

    def timestamp(self) -> str:
        """The time as objects carry it."""
        return self._clock.timestamp()

    def _key(self, kind: Kind, tree: Object) -> tuple[str, str]:
        return (meta(tree).get("namespace", "") if kind.namespaced else "", meta(tree)["name"])

    def _write(self, type_: ChangeType, kind: Kind, tree: Object) -> Object:
        self.version += 1
        written = {**tree, "metadata": {**meta(tree), "resourceVersion": str(self.version)}}
        key = self._key(kind, tree)
        held = self._objects[kind]
        previous = held.get(key)
        self._index((kind, *key), previous, None if type_ == "DELETED" else written)
        if type_ == "DELETED":
            del held[key]
            self._by_uid.pop(meta(tree)["uid"], None)
        else:
            held[key] = written
            self._by_uid[meta(tree)["uid"]] = (kind, *key)
        self._note(Change(type_, kind, written, previous, self.version))
        return written

    def _index(self, key: Key, before: Object | None, after: Object | None) -> None:
        for uid in _owners(before):
            self._owned[uid].discard(key)
        for uid in _owners(after):
            self._owned.setdefault(uid, set()).add(key)

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        if len(self._changes) > 2 * KEPT_CHANGES:
            self.floor = self._changes[KEPT_CHANGES - 1].version
            del self._changes[:KEPT_CHANGES]
        for listener in self.listeners:
            listener(change)


def _owners(tree: Object | None) -> list[str]:
    return [reference["uid"] for reference in meta(tree).get("ownerReferences", [])] if tree else []


def _graceful(metadata: Object) -> bool:
    return int(metadata.get("deletionGracePeriodSeconds") or 0) > 0
