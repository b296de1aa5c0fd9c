"""The rules of single kinds, as far as our manifests can break them.

Source: pkg/apis/{core,apps}/validation of Kubernetes.
"""

from collections.abc import Callable, Iterator
from typing import Any

from provisioning.tests.cluster.forms import dns_label, label_problems, quantity
from provisioning.tests.cluster.kinds import Kind, Object
from provisioning.tests.cluster.selectors import matches_label_selector
from provisioning.tests.cluster.store import copied

# A field and what is wrong with it.
Problem = tuple[str, str]

_FORBIDDEN_POD = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_FORBIDDEN_CLAIM = (
    "Forbidden: spec is immutable after creation except resources.requests and "
    "volumeAttributesClassName for bound claims"
)


def problems_of(kind: Kind, tree: Object) -> Iterator[Problem]:
    """What is wrong with an object whose types are right."""
    rule = _RULES.get(kind.name)
    if rule:
        yield from rule(tree.get("spec") or {})


def problems_of_change(kind: Kind, live: Object, tree: Object, *, resize: bool) -> Iterator[Problem]:
    """What may not change in that way."""
    if kind.name == "Pod":
        yield from _pod_change(live, tree, resize=resize)
    elif kind.name in _CHANGES:
        yield from _CHANGES[kind.name](live["spec"], tree["spec"])


def _deployment(spec: Object) -> Iterator[Problem]:
    if spec["replicas"] < 0:
        yield "spec.replicas", f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
    strategy = spec["strategy"]
    if strategy["type"] not in {"Recreate", "RollingUpdate"}:
        yield (
            "spec.strategy.type",
            f'Unsupported value: "{strategy["type"]}": supported values: "Recreate", "RollingUpdate"',
        )
    if strategy["type"] == "Recreate" and strategy.get("rollingUpdate"):
        yield "spec.strategy.rollingUpdate", "Forbidden: may not be specified when strategy `type` is 'Recreate'"
    labels = spec["template"].get("metadata", {}).get("labels") or {}
    yield from label_problems("spec.template.metadata.labels", labels)
    if not spec["selector"].get("matchLabels") and not spec["selector"].get("matchExpressions"):
        yield "spec.selector", "Invalid value: empty selector is invalid for deployment"
    elif not matches_label_selector(spec["selector"], labels):
        yield "spec.template.metadata.labels", "Invalid value: `selector` does not match template `labels`"
    pod = spec["template"]["spec"]
    if pod["restartPolicy"] != "Always":
        yield (
            "spec.template.spec.restartPolicy",
            f'Unsupported value: "{pod["restartPolicy"]}": supported values: "Always"',
        )
    yield from ((f"spec.template.{path}", problem) for path, problem in _pod(pod))


def _pod(spec: Object) -> Iterator[Problem]:
    if not spec["containers"]:
        yield "spec.containers", "Required value"
    volumes = [volume["name"] for volume in spec.get("volumes") or []]
    yield from _duplicates("spec.volumes", volumes)
    names: list[str] = []
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            names.append(container["name"])
            yield from _container(f"spec.{field}[{index}]", container, volumes)
            if field == "initContainers" and container.get("restartPolicy") != "Always":
                yield from _without_probes(f"spec.{field}[{index}]", container)
    yield from _duplicates("spec.containers", names)


def _duplicates(path: str, names: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"{path}[{index}].name", f'Duplicate value: "{name}"'


def _container(path: str, container: Object, volumes: list[str]) -> Iterator[Problem]:
    if not dns_label(container["name"]):
        yield f"{path}.name", f'Invalid value: "{container["name"]}": a lowercase RFC 1123 label is wanted'
    if not container.get("image"):
        yield f"{path}.image", "Required value"
    elif container["image"] != container["image"].strip():
        yield f"{path}.image", f'Invalid value: "{container["image"]}": must not have leading or trailing whitespace'
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount["name"] not in volumes:
            yield f"{path}.volumeMounts[{index}].name", f'Not found: "{mount["name"]}"'
    for index, port in enumerate(container.get("ports") or []):
        if not 0 < port["containerPort"] < 65536:
            yield f"{path}.ports[{index}].containerPort", "Invalid value: must be between 1 and 65535, inclusive"
    yield from resource_problems(f"{path}.resources", container["resources"])


def _without_probes(path: str, container: Object) -> Iterator[Problem]:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        if container.get(probe):
            yield f"{path}.{probe}", "Forbidden: may not be set for init containers without restartPolicy=Always"


def resource_problems(path: str, resources: Object) -> Iterator[Problem]:
    """Quantities have their form, and no request is above its limit."""
    limits = yield from _quantities(f"{path}.limits", resources.get("limits") or {})
    requests = yield from _quantities(f"{path}.requests", resources.get("requests") or {})
    for name, requested in requests.items():
        if name in limits and requested > limits[name]:
            given = resources["requests"][name]
            yield (
                f"{path}.requests",
                f'Invalid value: "{given}": must be less than or equal to {name} limit of {resources["limits"][name]}',
            )


def _quantities(path: str, given: Object) -> Any:
    found = {}
    for name, text in given.items():
        try:
            found[name] = quantity(text)
        except ValueError as error:
            # A merge has brought it in: the decoder has not seen it.
            yield f"{path}[{name}]", f'Invalid value: "{text}": {error}'
        else:
            if found[name] < 0:
                yield f"{path}[{name}]", f'Invalid value: "{text}": must be greater than or equal to 0'
    return found


def _claim(spec: Object) -> Iterator[Problem]:
    modes = spec.get("accessModes") or []
    if not modes:
        yield "spec.accessModes", "Required value: at least 1 access mode is required"
    for mode in modes:
        if mode not in {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"}:
            yield "spec.accessModes", f'Unsupported value: "{mode}"'
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        yield "spec.resources[storage]", "Required value"
    yield from resource_problems("spec.resources", spec.get("resources") or {})


def _service(spec: Object) -> Iterator[Problem]:
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield "spec.ports", "Required value"
    for index, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            yield f"spec.ports[{index}].name", "Required value"
        if not 0 < port["port"] < 65536:
            yield f"spec.ports[{index}].port", f"Invalid value: {port['port']}: must be between 1 and 65535, inclusive"


def _deployment_change(before: Object, after: Object) -> Iterator[Problem]:
    if before["selector"] != after["selector"]:
        yield "spec.selector", "Invalid value: field is immutable"


def _service_change(before: Object, after: Object) -> Iterator[Problem]:
    if before.get("clusterIP") and before["clusterIP"] != after.get("clusterIP"):
        yield "spec.clusterIPs[0]", "Invalid value: may not change once set"


def _claim_change(before: Object, after: Object) -> Iterator[Problem]:
    was, is_ = copied(before), copied(after)
    sizes = [quantity(spec["resources"]["requests"].pop("storage")) for spec in (was, is_)]
    if was != is_:
        yield "spec", _FORBIDDEN_CLAIM
    if sizes[1] < sizes[0]:
        yield "spec.resources.requests.storage", "Forbidden: field can not be less than status.capacity"
    if sizes[1] > sizes[0] and not before.get("volumeName"):
        yield "spec", _FORBIDDEN_CLAIM


def _pod_change(live: Object, tree: Object, *, resize: bool) -> Iterator[Problem]:
    """Images may change; with /resize resources may, and nothing else."""
    was, is_ = copied(live["spec"]), copied(tree["spec"])
    for spec in (was, is_):
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            container.pop("resources" if resize else "image", None)
        if not resize:
            spec.pop("tolerations", None)
            spec.pop("activeDeadlineSeconds", None)
    if was != is_:
        yield "spec", "Forbidden: only cpu and memory resources are mutable" if resize else _FORBIDDEN_POD


_RULES: dict[str, Callable[[Object], Iterator[Problem]]] = {
    "Deployment": _deployment,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
}
_CHANGES: dict[str, Callable[[Object, Object], Iterator[Problem]]] = {
    "Deployment": _deployment_change,
    "Service": _service_change,
    "PersistentVolumeClaim": _claim_change,
}
