"""How lists and maps of the API merge, by the markers in its schema.

Source: the `x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, `x-kubernetes-map-type` and `x-kubernetes-patch-merge-key`
markers of Kubernetes' OpenAPI, for the kinds that this server keeps. What is not named here is atomic (lists) or
granular (maps), as the markers' defaults are.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from provisioning.tests.cluster.kinds import Object

# The keys of each associative list, by the name of its field.
_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "resourceClaims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
}
# A container's ports and a service's are told apart by their fields; a network policy's lie within an atomic list.
_PORTS = (("containerPort", "protocol"), ("port", "protocol"))
_DEFAULTS = {"protocol": "TCP"}

# Lists of values that are sets.
SETS = frozenset({"finalizers"})

# Maps that are replaced whole.
_ATOMIC = frozenset(
    {
        "selector",
        "nodeSelector",
        "labelSelector",
        "fieldRef",
        "resourceFieldRef",
        "secretKeyRef",
        "configMapKeyRef",
        "dataSource",
    }
)


def is_atomic(name: str, value: Any) -> bool:
    """Whether a field is written as one value."""
    if isinstance(value, dict):
        return name in _ATOMIC
    if isinstance(value, list):
        return name not in SETS and not merge_keys(name, value)
    return True


def merge_keys(name: str, items: list[Any]) -> tuple[str, ...]:
    """The fields that tell the items of an associative list apart; none for an atomic list."""
    if not all(isinstance(item, dict) for item in items):
        return ()
    if name == "ports":
        return next((keys for keys in _PORTS if all(keys[0] in item for item in items)), ())
    return _KEYS.get(name, ())


def key_of(item: Object, keys: tuple[str, ...]) -> str:
    """An item's key as a path of managed fields names it: `k:{"name":"server"}`."""
    values = {key: item.get(key, _DEFAULTS.get(key)) for key in keys}
    return "k:" + orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


@cache
def keyed_by(step: str) -> Mapping[str, Any]:
    """The fields of such a key, in the order of their names."""
    fields: dict[str, Any] = orjson.loads(step.removeprefix("k:"))
    return fields


def has_key(item: Object, fields: Mapping[str, Any]) -> bool:
    """Whether it is the item of this key."""
    return all(item.get(name, _DEFAULTS.get(name)) == value for name, value in fields.items())
