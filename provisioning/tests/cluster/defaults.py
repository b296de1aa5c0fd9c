"""What the server fills in: the defaults that our manifests meet.

Source: pkg/apis/{core,apps}/v1/defaults.go of Kubernetes.
"""

from collections.abc import Callable
from typing import Any

from provisioning.tests.cluster.kinds import Kind, Object

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_DEPLOYMENT: Object = {
    "replicas": 1,
    "revisionHistoryLimit": 10,
    "progressDeadlineSeconds": 600,
    "strategy": {},
}
_POD: Object = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "enableServiceLinks": True,
}
_CONTAINER: Object = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
_SERVICE: Object = {
    "type": "ClusterIP",
    "sessionAffinity": "None",
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "internalTrafficPolicy": "Cluster",
}


def fill_in(kind: Kind, tree: Object) -> None:
    """Set what is left out of a new or changed object."""
    if kind.name in _FILLERS:
        spec = tree.setdefault("spec", {})
        if isinstance(spec, dict):
            _FILLERS[kind.name](spec)


def _set_missing(tree: Any, values: Object) -> None:
    for name, value in values.items():
        if tree.get(name) is None:
            tree[name] = value.copy() if isinstance(value, dict | list) else value


def _deployment(spec: Object) -> None:
    _set_missing(spec, _DEPLOYMENT)
    _set_missing(spec["strategy"], {"type": "RollingUpdate"})
    if spec["strategy"]["type"] == "RollingUpdate":
        _set_missing(spec["strategy"].setdefault("rollingUpdate", {}), {"maxUnavailable": "25%", "maxSurge": "25%"})
    pod(spec.setdefault("template", {}).setdefault("spec", {}))


def pod(spec: Object) -> None:
    """Defaults of a pod's spec."""
    _set_missing(spec, _POD)
    for container in (*(spec.get("initContainers") or []), *(spec.get("containers") or [])):
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _container(container: Object) -> None:
    _set_missing(container, _CONTAINER)
    # https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    latest = "@" not in image and tag in {"", "latest"}
    _set_missing(container, {"imagePullPolicy": "Always" if latest else "IfNotPresent"})
    for port in container.get("ports") or []:
        _set_missing(port, {"protocol": "TCP"})
    for probe in (container[name] for name in _PROBES if container.get(name)):
        _set_missing(probe, _PROBE)
        if probe.get("httpGet"):
            _set_missing(probe["httpGet"], {"scheme": "HTTP", "path": "/"})
    # A limit without a request is also the request.
    resources = container["resources"]
    for resource, quantity in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(resource, quantity)


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if volume.get(source) is not None:
            _set_missing(volume[source], {"defaultMode": 420})
    for source in (volume.get("projected") or {}).get("sources") or []:
        if source.get("serviceAccountToken"):
            _set_missing(source["serviceAccountToken"], {"expirationSeconds": 3600})


def _service(spec: Object) -> None:
    _set_missing(spec, _SERVICE)
    for port in spec.get("ports") or []:
        _set_missing(port, {"protocol": "TCP", "targetPort": port.get("port")})


def _claim(spec: Object) -> None:
    _set_missing(spec, {"volumeMode": "Filesystem"})


_FILLERS: dict[str, Callable[[Object], None]] = {
    "Deployment": _deployment,
    "Pod": pod,
    "Service": _service,
    "PersistentVolumeClaim": _claim,
}
