"""Server-side apply, and what every other write means for who manages a field.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/. Simpler than the real one: controllers of the
cluster itself (status, quota, garbage collection) leave no entries.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.fields import (
    MISSING,
    Path,
    Paths,
    dotted,
    from_fields_v1,
    paths_of,
    remove_at,
    to_fields_v1,
    value_at,
)
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.lists import SETS, is_atomic, key_of, merge_keys
from provisioning.tests.cluster.store import copied, meta


@dataclass(frozen=True)
class Entry:
    """One entry of managedFields."""

    manager: str
    operation: str
    api_version: str
    paths: Paths
    subresource: str = ""
    time: str = ""

    @property
    def shown(self) -> str:
        """As conflicts name it: https://github.com/kubernetes-sigs/structured-merge-diff and managedfields' printManager."""
        name = f'"{self.manager}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return f"{name} using {self.api_version} at {self.time}" if self.operation == "Update" else name

    def is_by(self, other: "Entry") -> bool:
        mine = (self.manager, self.operation, self.subresource)
        return mine == (other.manager, other.operation, other.subresource)


@dataclass(frozen=True)
class Writer:
    """Who writes, by which part of the API, when."""

    manager: str
    subresource: str
    time: str


def entries_of(tree: Object) -> list[Entry]:
    return [
        Entry(
            manager=each["manager"],
            operation=each["operation"],
            api_version=each["apiVersion"],
            paths=from_fields_v1(each["fieldsV1"]),
            subresource=each.get("subresource", ""),
            time=each["time"],
        )
        for each in meta(tree).get("managedFields", [])
    ]


def with_entries(tree: Object, entries: Iterable[Entry]) -> Object:
    """The object with these entries; those that own nothing go."""
    written = [
        {
            "manager": entry.manager,
            "operation": entry.operation,
            "apiVersion": entry.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(entry.paths),
        }
        | ({"subresource": entry.subresource} if entry.subresource else {})
        for entry in entries
        if entry.paths
    ]
    return {**tree, "metadata": {**meta(tree), "managedFields": written}}


def applied(live: Object | None, config: Object, writer: Writer, *, force: bool) -> Object:
    """The object after an apply. Raises Refused 409 for fields that others manage, unless forced."""
    mine = Entry(
        manager=writer.manager,
        operation="Apply",
        api_version=config["apiVersion"],
        paths=paths_of(config, status=writer.subresource == "status"),
        subresource=writer.subresource,
        time=writer.time,
    )
    if live is None:
        return with_entries(config, [mine])
    entries = entries_of(live)
    others = [entry for entry in entries if not entry.is_by(mine)]
    before = next((entry for entry in entries if entry.is_by(mine)), None)
    contested = sorted(_contested(live, config, mine.paths, others), key=lambda found: found[1])
    if contested and not force:
        raise statuses.manager_conflict((entry.shown, dotted(path)) for entry, path in contested)
    lost = frozenset(path for _, path in contested)
    others = [replace(entry, paths=entry.paths - lost) for entry in others]
    tree = _merged(copied(live), config)
    if before:
        _drop(tree, before.paths - mine.paths, others)
        if before.paths == mine.paths and _same(tree, live) and not lost:
            return live
    return with_entries(tree, [*others, mine])


def _same(tree: Object, live: Object) -> bool:
    return tree == live


def _contested(live: Object, config: Object, mine: Paths, others: list[Entry]) -> Iterator[tuple[Entry, Path]]:
    for path in mine:
        held = value_at(live, path)
        if path[-1].startswith(("k:", "v:")) or held is MISSING or held == value_at(config, path):
            continue
        yield from ((entry, path) for entry in others if path in entry.paths)


def _drop(tree: Object, paths: Paths, others: list[Entry]) -> None:
    """Fields that the manager no longer applies go, unless someone else manages them or something in them."""
    kept = frozenset(path[:length] for entry in others for path in entry.paths for length in range(1, len(path) + 1))
    # The shallowest first: an item goes as a whole, with what was filled in to it.
    for path in sorted(paths - kept, key=len):
        if value_at(tree, path) is not MISSING:
            remove_at(tree, path)


def _merged(live: Any, config: Any) -> Any:
    for name, value in config.items():
        held = live.get(name)
        if isinstance(value, dict) and isinstance(held, dict) and not is_atomic(name, value):
            live[name] = _merged(held, value)
        elif isinstance(value, list) and isinstance(held, list) and not is_atomic(name, value):
            live[name] = _merged_list(name, held, value)
        else:
            live[name] = value
    return live


def _merged_list(name: str, live: list[Any], config: list[Any]) -> list[Any]:
    if name in SETS:
        return [*live, *(item for item in config if item not in live)]
    keys = merge_keys(name, config)
    held = {key_of(item, keys): item for item in live}
    for item in config:
        key = key_of(item, keys)
        held[key] = _merged(held[key], item) if key in held else item
    return list(held.values())


def tracked(before: Object | None, after: Object, writer: Writer) -> Object:
    """The object after any other write: who changes a field manages it from now on, alone."""
    status = writer.subresource == "status"
    was = paths_of(before, status=status) if before else frozenset()
    paths = paths_of(after, status=status)
    changed = frozenset(path for path in paths if before is None or value_at(before, path) != value_at(after, path))
    changed = frozenset(path for path in changed if not path[-1].startswith("k:") or path not in was)
    gone = was - paths
    mine = Entry(writer.manager, "Update", after["apiVersion"], changed, writer.subresource, writer.time)
    if not changed and not gone:
        return with_entries(after, entries_of(before or after))
    entries = entries_of(before) if before else []
    kept = [
        replace(entry, paths=entry.paths - gone if entry.is_by(mine) else entry.paths - changed - gone)
        for entry in entries
    ]
    own = next((entry for entry in kept if entry.is_by(mine)), None)
    others = [entry for entry in kept if not entry.is_by(mine)]
    paths_now = (own.paths if own else frozenset()) | changed
    if own and paths_now == own.paths:
        return with_entries(after, [*others, replace(own, time=writer.time)])
    return with_entries(after, [*others, replace(mine, paths=paths_now)])
