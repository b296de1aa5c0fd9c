"""What the server says about itself: its version, groups and resources.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from provisioning.tests.cluster.kinds import KINDS, Kind, Object

VERSION: Object = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0-fake",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def described(path: str) -> Object | None:
    """The discovery document at this path, None when there is none."""
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in _groups() if each[0]]}
    for group, version in _groups():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            return _resources(group, version)
    return None


def _groups() -> list[tuple[str, str]]:
    return sorted({(kind.group, kind.version) for kind in KINDS})


def _group(group: str, version: str) -> Object:
    one = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


def _resources(group: str, version: str) -> Object:
    listed: list[Object] = []
    of_group = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
    for kind in of_group:
        listed.append(_resource(kind, kind.plural, _VERBS))
        listed.extend(
            _resource(kind, f"{kind.plural}/{part}", ["get", "patch", "update"]) for part in sorted(kind.subresources)
        )
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


def _resource(kind: Kind, name: str, verbs: list[str]) -> Object:
    return {"name": name, "singularName": "", "namespaced": kind.namespaced, "kind": kind.name, "verbs": verbs}
