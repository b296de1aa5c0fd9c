"""Who manages which fields: sets of paths, and `metadata.managedFields` that holds them.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.lists import SETS, has_key, is_atomic, key_of, keyed_by, merge_keys

# One field: the steps to it as FieldsV1 writes them (`f:spec`, `k:{"name":"a"}`, `v:"b"`).
Path = tuple[str, ...]
Paths = frozenset[Path]

MISSING = object()

# What the server itself writes and nobody manages.
_OWN = frozenset(
    {"name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
    | {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}
)


def paths_of(tree: Object, *, status: bool = False) -> Paths:
    """The fields that an object sets. With `status`, only those below it; otherwise all others."""
    body = {"status": tree["status"]} if status and "status" in tree else {}
    if not status:
        body = {name: value for name, value in tree.items() if name not in {"apiVersion", "kind", "status"}}
        body["metadata"] = {name: value for name, value in tree.get("metadata", {}).items() if name not in _OWN}
    return frozenset(_walk(body, ()))


def _walk(value: dict[str, Any], path: Path) -> Iterable[Path]:
    for name, inner in value.items():
        step = (*path, f"f:{name}")
        if is_atomic(name, inner) or not inner:
            # An empty map or list in metadata or spec is set, but there is nothing in it to own but itself.
            if inner or not isinstance(inner, dict) or path:
                yield step
        elif isinstance(inner, dict):
            yield from _walk(inner, step)
        else:
            yield from _walk_list(name, inner, step)


def _walk_list(name: str, items: list[Any], path: Path) -> Iterable[Path]:
    if name in SETS:
        yield from ((*path, "v:" + orjson.dumps(item).decode()) for item in items)
        return
    keys = merge_keys(name, items)
    for item in items:
        step = (*path, key_of(item, keys))
        yield step
        yield from _walk(item, step)


def value_at(tree: Any, path: Path) -> Any:
    """What an object has there, MISSING when nothing."""
    name = ""
    for step in path:
        if step.startswith("f:"):
            name = step[2:]
            tree = tree.get(name, MISSING) if isinstance(tree, dict) else MISSING
        elif isinstance(tree, list):
            tree = next(_items(name, tree, step), MISSING)
        else:
            return MISSING
    return tree


def remove_at(tree: Any, path: Path) -> None:
    """Take a field out of an object, and the maps and lists that it leaves empty."""
    *above, last = path
    parents = [tree, *(value_at(tree, path[: end + 1]) for end in range(len(above)))]
    _take_out(parents[-1], path[-2][2:] if len(path) > 1 else "", last)
    for parent, child, step, name in zip(
        parents[-2::-1], parents[:0:-1], above[::-1], ["", *[step[2:] for step in above]][-2::-1], strict=False
    ):
        if child in ({}, []):
            _take_out(parent, name, step)


def _take_out(parent: Any, name: str, step: str) -> None:
    if isinstance(parent, dict):
        parent.pop(step[2:], None)
    elif isinstance(parent, list):
        taken = list(_items(name, parent, step))
        parent[:] = [item for item in parent if not any(item is each for each in taken)]


def _items(name: str, items: list[Any], step: str) -> Iterator[Any]:
    """The items of a list that a step means."""
    if step.startswith("v:"):
        yield from (item for item in items if "v:" + orjson.dumps(item).decode() == step)
        return
    if step.startswith("k:") and tuple(wanted := keyed_by(step)) == tuple(sorted(merge_keys(name, items))):
        yield from (item for item in items if has_key(item, wanted))


def dotted(path: Path) -> str:
    """As conflicts name a field: `.spec.template.spec.containers[name="server"].image`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            keys = orjson.loads(step[2:])
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
        else:
            text += f"[={step[2:]}]"
    return text


def to_fields_v1(paths: Iterable[Path]) -> Object:
    """The tree that managedFields keeps: `.` stands for an item itself beside fields in it."""
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return tree


def from_fields_v1(tree: Object) -> Paths:
    """The paths that such a tree holds."""
    return frozenset(_unfold(tree, ()))


def _unfold(tree: Object, path: Path) -> Iterable[Path]:
    for step, inner in tree.items():
        if step == ".":
            yield path
        elif inner:
            yield from _unfold(inner, (*path, step))
        else:
            yield (*path, step)
