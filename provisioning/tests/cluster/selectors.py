"""Label and field selectors.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and …/field-selectors/.
"""

import re
from collections.abc import Callable
from typing import Any

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import Kind, Object

Matches = Callable[[Object], bool]
_Wants = Callable[[dict[str, str]], bool]

_SET = re.compile(r"(?P<key>\S+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)")
_EQUAL = re.compile(r"(?P<key>[^!=\s]+)\s*(?P<how>!=|==|=)\s*(?P<value>\S*)")

# Fields that every kind can be selected by, and those of the kinds that have more.
_ALWAYS = frozenset({"metadata.name", "metadata.namespace"})
_MORE = {
    "Pod": frozenset(
        {"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"}
    ),
    "Event": frozenset(
        {"reason", "type", "source", "reportingComponent"}
        | {f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")}
    ),
    "Namespace": frozenset({"status.phase"}),
    "ReplicaSet": frozenset({"status.replicas"}),
}


def selector(kind: Kind, *, labels: str, fields: str) -> Matches:
    """Whether an object is selected by both. Raises Refused 400."""
    wants = [_label(part) for part in _split(labels)]
    by_field = [_field(kind, part) for part in fields.split(",") if part.strip()]

    def matches(tree: Object) -> bool:
        held = tree["metadata"].get("labels") or {}
        return all(want(held) for want in wants) and all(want(tree) for want in by_field)

    return matches


def matches_label_selector(chosen: Object, labels: dict[str, str]) -> bool:
    """A LabelSelector as objects hold it: matchLabels and matchExpressions."""
    equal = all(labels.get(key) == value for key, value in (chosen.get("matchLabels") or {}).items())
    return equal and all(_expression(each)(labels) for each in chosen.get("matchExpressions") or [])


def _expression(each: Object) -> _Wants:
    key, values = each["key"], set(each.get("values") or [])
    operators: dict[str, _Wants] = {
        "In": lambda labels: labels.get(key) in values,
        "NotIn": lambda labels: labels.get(key) not in values,
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    return operators[each["operator"]]


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _label(part: str) -> _Wants:
    if found := _SET.fullmatch(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        inside = found["how"] == "in"
        return lambda labels: (labels.get(key) in values) == inside
    if found := _EQUAL.fullmatch(part):
        key, value, equal = found["key"], found["value"], found["how"] != "!="
        return lambda labels: (labels.get(key) == value) == equal
    if re.fullmatch(r"!?[\w./-]+", part):
        key, there = part.removeprefix("!"), not part.startswith("!")
        return lambda labels: (key in labels) == there
    raise statuses.bad_request(f"unable to parse requirement: {part}")


def _field(kind: Kind, part: str) -> Matches:
    found = _EQUAL.fullmatch(part.strip())
    if not found:
        raise statuses.bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    path, value, equal = found["key"], found["value"], found["how"] != "!="
    if path not in _ALWAYS | _MORE.get(kind.name, frozenset()):
        raise statuses.bad_request(f"field label not supported: {path}")
    return lambda tree: (_dig(tree, path) == value) == equal


def _dig(tree: Any, path: str) -> str:
    for part in path.split("."):
        tree = tree.get(part, "") if isinstance(tree, dict) else ""
    return str(tree)
