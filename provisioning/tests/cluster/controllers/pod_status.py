"""A pod's status, from what its kubelet knows of its containers.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from dataclasses import dataclass, field

from provisioning.tests.cluster.controllers.control import condition, with_condition
from provisioning.tests.cluster.kinds import Object


@dataclass
class Container:
    """What is known of one container. `state` and `last` are as the API writes them."""

    name: str
    image: str
    init: bool = False
    sidecar: bool = False
    state: Object = field(default_factory=dict)
    last: Object = field(default_factory=dict)
    started: bool = False
    ready: bool = False
    restarts: int = 0
    resources: Object = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def done(self) -> bool:
        """A plain init container that has succeeded."""
        return bool(self.state.get("terminated")) and self.state["terminated"]["exitCode"] == 0

    def wait(self, reason: str, message: str = "") -> None:
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.started = self.ready = False

    def run(self, now: str) -> None:
        self.state = {"running": {"startedAt": now}}
        self.started = self.ready = False

    def end(self, now: str, *, code: int, reason: str) -> None:
        began = self.state.get("running", {}).get("startedAt", now)
        ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now, "containerID": ""}
        self.state = {"terminated": ended}
        self.last = {"terminated": ended}
        self.started = self.ready = False

    def status(self) -> Object:
        status: Object = {
            "name": self.name,
            "image": self.image,
            "imageID": f"{self.image}@sha256:fake" if self.running else "",
            "state": self.state,
            "lastState": self.last if self.restarts else {},
            "ready": self.ready or (self.init and not self.sidecar and self.done),
            "started": self.started,
            "restartCount": self.restarts,
        }
        return status | ({"resources": self.resources} if self.running else {})


def containers_of(pod: Object) -> list[Container]:
    """In the order they start; the main ones wait until the init containers are through."""
    spec = pod["spec"]
    init = [
        Container(each["name"], each["image"], init=True, sidecar=each.get("restartPolicy") == "Always")
        for each in spec.get("initContainers", [])
    ]
    found = [*init, *(Container(each["name"], each["image"]) for each in spec["containers"])]
    for container in found:
        container.resources = resources_of(pod)[container.name]
        container.wait("PodInitializing" if init and not container.init else "ContainerCreating")
    return found


def resources_of(pod: Object) -> dict[str, Object]:
    """What each container of a pod asks for."""
    spec = pod["spec"]
    return {each["name"]: each["resources"] for each in (*spec.get("initContainers", []), *spec["containers"])}


def running_status(pod: Object, containers: list[Container], *, now: str, address: str) -> Object:
    """The status of a pod that has a node."""
    before = pod.get("status", {})
    mains = [each for each in containers if not each.init]
    initialized = all(each.started if each.sidecar else each.done for each in containers if each.init)
    ready = bool(mains) and all(each.ready for each in containers if not each.init or each.sidecar)
    started = any(each.running or each.restarts or "terminated" in each.state for each in mains)
    conditions = before.get("conditions", [])
    for type_, true, reason in (
        ("PodReadyToStartContainers", any(each.running or each.last for each in containers), ""),
        ("Initialized", initialized, "ContainersNotInitialized"),
        ("Ready", ready, "ContainersNotReady"),
        ("ContainersReady", ready, "ContainersNotReady"),
    ):
        new = condition(type_, "True", now) if true else condition(type_, "False", now, reason=reason)
        conditions = with_condition(conditions, new)
    status = {
        **before,
        "phase": "Running" if started else "Pending",
        "conditions": conditions,
        "hostIP": "10.0.0.1",
        "startTime": before.get("startTime", now),
        "containerStatuses": [each.status() for each in mains],
    }
    if any(each.init for each in containers):
        status["initContainerStatuses"] = [each.status() for each in containers if each.init]
    if any(each.running for each in containers):
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return status
