"""ResourceQuota and LimitRange.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/ and …/limit-range/.
"""

from decimal import Decimal

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.forms import quantity
from provisioning.tests.cluster.kinds import CLAIMS, LIMIT_RANGES, PODS, QUOTAS, Kind, Object
from provisioning.tests.cluster.store import Change, Store, meta

# Amounts by the names that quotas use: `pods`, `requests.memory`.
Usage = dict[str, Decimal]


class Ledger:
    """What each namespace uses, counted as the store changes, and the quotas' check of what would be added."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: dict[str, Usage] = {}
        store.listeners.append(self._note)

    def used(self, namespace: str) -> Usage:
        return self._used.get(namespace, {})

    def check_new(self, kind: Kind, tree: Object) -> None:
        """Raises Refused 403 in the words of the quota admission when a new object would exceed a quota."""
        if kind.namespaced:
            self._check(kind, tree, usage_of(kind, tree))

    def check_growth(self, kind: Kind, live: Object, tree: Object) -> None:
        """Raises Refused 403 when a pod or claim would grow past a quota."""
        more = dict(usage_of(kind, tree))
        _add(more, usage_of(kind, live), -1)
        self._check(kind, tree, more)

    def _check(self, kind: Kind, tree: Object, wanted: Usage) -> None:
        used = self.used(meta(tree)["namespace"])
        for quota in self._store.listed(QUOTAS, meta(tree)["namespace"]):
            hard = quota["spec"].get("hard") or {}
            missing = _unspecified(kind, tree, hard)
            if missing:
                why = f"failed quota: {meta(quota)['name']}: must specify {missing}"
                raise statuses.forbidden(kind, meta(tree)["name"], why)
            asked = {name: wanted[name] for name in sorted(hard) if wanted.get(name, 0) > 0}
            over = [name for name in asked if used.get(name, 0) + asked[name] > quantity(hard[name])]
            if over:
                raise statuses.forbidden(kind, meta(tree)["name"], _exceeded(quota, over, asked, used))

    def _note(self, change: Change) -> None:
        if not change.kind.namespaced:
            return
        used = self._used.setdefault(meta(change.tree)["namespace"], {})
        before = usage_of(change.kind, change.previous) if change.previous else {}
        after = usage_of(change.kind, change.tree) if change.type != "DELETED" else {}
        if before != after:
            _add(used, before, -1)
            _add(used, after, 1)


def _add(used: Usage, amounts: Usage, sign: int) -> None:
    for name, amount in amounts.items():
        used[name] = used.get(name, Decimal(0)) + sign * amount


def _exceeded(quota: Object, over: list[str], asked: Usage, used: Usage) -> str:
    def listed(values: dict[str, str]) -> str:
        return ",".join(f"{name}={values[name]}" for name in over)

    return (
        f"exceeded quota: {meta(quota)['name']}, requested: {listed({n: shown(n, asked[n]) for n in over})}, "
        f"used: {listed({n: shown(n, used.get(n, 0)) for n in over})}, limited: {listed(quota['spec']['hard'])}"
    )


def shown(name: str, amount: Decimal | int) -> str:
    """An amount in the canonical form of its resource: `1500m`, `2Gi`, `3`."""
    amount = Decimal(amount)
    if name.endswith(("memory", "storage")):
        for suffix, power in (("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)):
            if amount and amount % 1024**power == 0:
                return f"{int(amount / 1024**power)}{suffix}"
    if amount != amount.to_integral_value():
        return f"{int(amount * 1000)}m"
    return str(int(amount))


def usage_of(kind: Kind, tree: Object) -> Usage:
    """What one object counts for; a pod that has ended uses nothing."""
    used = {f"count/{kind.resource}": Decimal(1), kind.plural: Decimal(1)}
    if kind is CLAIMS:
        used["requests.storage"] = quantity(tree["spec"]["resources"]["requests"]["storage"])
    if kind is PODS:
        if tree.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            return {"count/pods": Decimal(1)}
        used |= _pod_usage(tree["spec"])
    return used


def _pod_usage(spec: Object) -> Usage:
    """The sum of the containers and sidecars, or the largest plain init container where that is more."""
    total: Usage = {}
    peak: Usage = {}
    for container in spec.get("initContainers", []):
        if container.get("restartPolicy") == "Always":
            _add(total, _amounts(container), 1)
        else:
            alone = dict(total)
            _add(alone, _amounts(container), 1)
            peak = _larger(peak, alone)
    for container in spec["containers"]:
        _add(total, _amounts(container), 1)
    return _larger(total, peak)


def _larger(one: Usage, other: Usage) -> Usage:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {**one, **other}}


def _amounts(container: Object) -> Usage:
    amounts: Usage = {}
    for side in ("requests", "limits"):
        for name, text in (container["resources"].get(side) or {}).items():
            amounts[f"{side}.{name}"] = quantity(text)
            if side == "requests":
                amounts[name] = quantity(text)
    return amounts


def _unspecified(kind: Kind, tree: Object, hard: Object) -> str:
    """A quota on a compute resource makes each container say how much of it it wants."""
    if kind is not PODS:
        return ""
    missing: dict[str, list[str]] = {}
    for name in sorted(hard):
        side, _, resource = name.partition(".")
        if side in {"requests", "limits"} and resource in {"cpu", "memory"}:
            without = [
                container["name"]
                for container in (*tree["spec"].get("initContainers", []), *tree["spec"]["containers"])
                if resource not in (container["resources"].get(side) or {})
            ]
            if without:
                missing[name] = without
    return "; ".join(f"{name} for: {','.join(containers)}" for name, containers in missing.items())


def apply_limit_ranges(store: Store, tree: Object) -> None:
    """Fill in what containers leave out, and check what they say. Raises Refused 403."""
    for limit_range in store.listed(LIMIT_RANGES, meta(tree)["namespace"]):
        for limit in limit_range["spec"]["limits"]:
            if limit["type"] == "Container":
                for container in (*tree["spec"].get("initContainers", []), *tree["spec"]["containers"]):
                    _limit_container(tree, container, limit)


def _limit_container(tree: Object, container: Object, limit: Object) -> None:
    resources = container["resources"]
    for side, defaults in (("limits", limit.get("default")), ("requests", limit.get("defaultRequest"))):
        for name, amount in (defaults or {}).items():
            resources.setdefault(side, {}).setdefault(name, amount)
    for name, most in (limit.get("max") or {}).items():
        given = (resources.get("limits") or {}).get(name)
        if given is None or quantity(given) > quantity(most):
            shown_limit = "no limit is specified" if given is None else f"limit is {given}"
            why = f"maximum {name} usage per Container is {most}, but {shown_limit}"
            raise statuses.forbidden(PODS, meta(tree)["name"], why)
    for name, least in (limit.get("min") or {}).items():
        given = (resources.get("requests") or {}).get(name)
        if given is None or quantity(given) < quantity(least):
            shown_request = "no request is specified" if given is None else f"request is {given}"
            why = f"minimum {name} usage per Container is {least}, but {shown_request}"
            raise statuses.forbidden(PODS, meta(tree)["name"], why)
