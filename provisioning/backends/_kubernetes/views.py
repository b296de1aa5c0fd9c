"""What is kept of the cluster's objects: the few facts that decisions are made from, since a whole pod is some 10 KB."""

from dataclasses import dataclass
from typing import Any

from provisioning.backends._kubernetes.manifests import (
    DEMAND,
    ENDED,
    IDLE,
    LICENCE,
    ORPHANED,
    RELEASE,
    TEMPLATE,
    USER,
    WORKSPACE,
)
from provisioning.backends._kubernetes.templates import Tree

SERVER = "mcp-server"
# `ws-` and 13 characters: the names of a Deployment's pods begin with its own.
NAME_LENGTH = 16


@dataclass(frozen=True, slots=True)
class View:
    """An object of a workspace; `user` is the digest of the user's id."""

    name: str
    workspace: str
    uid: str
    version: str
    user: str
    created: str
    deleting: bool


@dataclass(frozen=True, slots=True)
class DeploymentView(View):
    """`failure` is why pods can't be made; "" while they can, or while the controller has not looked yet.

    `idle_s` is after how long its sidecar stops it, 0 = never; `licence` what of one its pod is made from, and `release` what
    else; `ended` since when there has been none.
    """

    replicas: int
    template: str
    release: str
    licence: str
    demand: str
    orphaned: str
    ended: str
    idle_s: int
    failure: str


@dataclass(frozen=True, slots=True)
class VolumeView(View):
    """A user's data: `phase` Pending, Bound or Lost; `storage` is what was asked for."""

    phase: str
    storage: str


@dataclass(frozen=True, slots=True)
class ContainerView:
    """`waiting` and `ended` are reasons; `exit_code` is that of its last end. `started` = a probe has succeeded since."""

    name: str
    running: bool
    waiting: str
    message: str
    ended: str
    exit_code: int | None
    restarts: int
    started: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True)
class PodView(View):
    """`unschedulable` is the scheduler's message, "" when it has none; `idle_s` as the pod's sidecar reads it.

    `turned` is when it became ready, or unready, by the kubelet's clock; `stranded` = it is unready, and for nothing that its
    kubelet has seen.
    """

    idle_s: int
    phase: str
    reason: str
    message: str
    scheduled: bool
    unschedulable: str
    ready: bool
    turned: str
    stranded: bool
    containers: tuple[ContainerView, ...]

    @property
    def server(self) -> ContainerView | None:
        """The container of the user's server, once the kubelet tells of it."""
        return next((each for each in self.containers if each.name == SERVER), None)

    @property
    def works(self) -> bool:
        """Whether the user's server runs: it may be at work, ready or not."""
        return self.server is not None and self.server.running

    @property
    def at_work(self) -> bool:
        """Whether it runs and has served since it was started."""
        return self.server is not None and self.server.running and self.server.started

    @property
    def silent(self) -> bool:
        """Whether it has served, runs, and does not answer the kubelet: it has too much to do, or hangs."""
        return self.at_work and self.silence is not None

    @property
    def boots(self) -> bool:
        """Whether it runs and has not served since it was started: it boots, or hangs at that."""
        return self.works and not self.at_work

    @property
    def silence(self) -> tuple[str, str, int] | None:
        """What tells one silence of the server from another; None = it does not run, or it answers the kubelet."""
        server = self.server
        return (
            (self.uid, self.turned, server.restarts)
            if server is not None and server.running and not server.ready
            else None
        )


@dataclass(frozen=True, slots=True)
class WarningView(View):
    """An event: `about` is the uid of the object that it tells of."""

    about: str
    reason: str
    message: str


def read_object(tree: Tree) -> View | None:
    """A Service or a ServiceAccount; None for one that is no workspace's."""
    return View(**_common(tree)) if _workspace(tree) else None


def read_deployment(tree: Tree) -> DeploymentView | None:
    """A Deployment."""
    if not _workspace(tree):
        return None
    annotations = _annotations(tree)
    return DeploymentView(
        **_common(tree),
        replicas=int(tree["spec"].get("replicas", 1)),
        template=annotations.get(TEMPLATE, ""),
        release=annotations.get(RELEASE, ""),
        licence=annotations.get(LICENCE, ""),
        demand=annotations.get(DEMAND, ""),
        orphaned=annotations.get(ORPHANED, ""),
        ended=annotations.get(ENDED, ""),
        idle_s=_whole(annotations.get(IDLE, "")),
        failure=_replica_failure(tree),
    )


def read_volume(tree: Tree) -> VolumeView | None:
    """A PersistentVolumeClaim."""
    if not _workspace(tree):
        return None
    requests = tree["spec"].get("resources", {}).get("requests", {})
    phase = tree.get("status", {}).get("phase", "")
    return VolumeView(**_common(tree), phase=phase, storage=str(requests.get("storage", "")))


def read_pod(tree: Tree) -> PodView | None:
    """A pod."""
    if not _workspace(tree):
        return None
    status: Tree = tree.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    scheduled: Tree = conditions.get("PodScheduled", {})
    ready: Tree = conditions.get("Ready", {})
    told = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return PodView(
        **_common(tree),
        idle_s=_whole(_annotations(tree).get(IDLE, "")),
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        scheduled=bool(tree["spec"].get("nodeName")),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
        ready=ready.get("status") == "True",
        turned=ready.get("lastTransitionTime") or "",
        stranded=_is_stranded(tree["spec"], conditions),
        containers=tuple(_container(each) for each in told),
    )


def read_warning(tree: Tree) -> WarningView | None:
    """A warning about a pod or a volume of a workspace; events have none of the objects' labels."""
    about: Tree = tree.get("involvedObject", {})
    name = str(about.get("name", ""))
    if not name.startswith("ws-") or about.get("kind") not in {"Pod", "PersistentVolumeClaim"}:
        return None
    common = _common(tree) | {"workspace": name[:NAME_LENGTH]}
    return WarningView(
        **common, about=about.get("uid", ""), reason=tree.get("reason", ""), message=tree.get("message", "")
    )


def _common(tree: Tree) -> dict[str, Any]:
    metadata: Tree = tree["metadata"]
    return {
        "name": metadata["name"],
        "workspace": _workspace(tree),
        "uid": metadata.get("uid", ""),
        "version": metadata.get("resourceVersion", ""),
        "user": _annotations(tree).get(USER, ""),
        "created": metadata.get("creationTimestamp") or "",
        "deleting": bool(metadata.get("deletionTimestamp")),
    }


def _workspace(tree: Tree) -> str:
    return str((tree["metadata"].get("labels") or {}).get(WORKSPACE, ""))


def _annotations(tree: Tree) -> dict[str, str]:
    return tree["metadata"].get("annotations") or {}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _replica_failure(tree: Tree) -> str:
    status: Tree = tree.get("status", {})
    # What the controller said of an older specification may be no longer true.
    if status.get("observedGeneration", 0) < tree["metadata"].get("generation", 0):
        return ""
    for each in status.get("conditions", []):
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            return f"{each.get('reason', '')}: {each.get('message', '')}"
    return ""


def _is_stranded(spec: Tree, conditions: dict[str, Tree]) -> bool:
    """Whether nothing is heard of its node: only then, and by a gate of its own, is a pod unready whose containers are ready.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/util/node/controller_utils.go (MarkPodsNotReady)
    """
    ready, containers = (conditions.get(each, {}).get("status") for each in ("Ready", "ContainersReady"))
    return ready == "False" and containers == "True" and not spec.get("readinessGates")


def _container(status: Tree) -> ContainerView:
    state: Tree = status.get("state") or {}
    waiting: Tree = state.get("waiting") or {}
    ended: Tree = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    return ContainerView(
        name=status["name"],
        running="running" in state,
        waiting=waiting.get("reason", ""),
        message=waiting.get("message", ""),
        ended=ended.get("reason", ""),
        exit_code=ended.get("exitCode"),
        restarts=status.get("restartCount", 0),
        started=bool(status.get("started")),
        ready=bool(status.get("ready")),
    )
