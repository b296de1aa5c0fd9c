"""The kubelet: takes a pod through attaching, pulling, starting and ending, and tells the API about it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from provisioning.tests.cluster.controllers.control import Control, condition, with_condition
from provisioning.tests.cluster.controllers.pod_status import Container, containers_of, resources_of, running_status
from provisioning.tests.cluster.controllers.runtime import Runtime, troubled_container
from provisioning.tests.cluster.kinds import PODS, Object
from provisioning.tests.cluster.plans import Plans, Trouble
from provisioning.tests.cluster.store import Change, meta

# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy: 10 s, 20 s, … up to 5 minutes; the same
# for images (…/containers/images/#imagepullbackoff).
FIRST_BACKOFF_S = 10.0
LONGEST_BACKOFF_S = 300.0

# What goes wrong before a container can be made, and what the kubelet or the attach controller says of it.
BEFORE_CONTAINERS = {
    Trouble.MULTI_ATTACH: (
        'Multi-Attach error for volume "pvc-0" Volume is already exclusively attached to one node and can\'t be '
        "attached to another"
    ),
    Trouble.MOUNT: 'MountVolume.MountDevice failed for volume "pvc-0" : rpc error: code = Internal desc = exit status 32',
    Trouble.SANDBOX: 'Failed to create pod sandbox: rpc error: code = Unknown desc = no runtime for "gvisor" is configured',
}

# What a reference to an image may be, as far as it tells a wrong one: https://github.com/distribution/reference
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._\-/:]*[a-zA-Z0-9._\-]*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")


@dataclass
class Sandbox:
    """One pod on the node."""

    uid: str
    address: str
    containers: list[Container]
    backoffs: dict[str, float] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    ending: bool = False

    def container(self, name: str) -> Container:
        return next(each for each in self.containers if each.name == name)

    def next_backoff_s(self, name: str) -> float:
        """How long this container waits now; twice as long next time."""
        now = self.backoffs.get(name, FIRST_BACKOFF_S)
        self.backoffs[name] = min(LONGEST_BACKOFF_S, 2 * now)
        return now


class Kubelet:
    """The node's agent. A Reports for its runtime."""

    def __init__(self, control: Control, plans: Plans, runtime: Runtime) -> None:
        self._control = control
        self._plans = plans
        self.runtime = runtime
        self._sandboxes: dict[str, Sandbox] = {}
        self._addresses = 0
        control.store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        if change.kind is not PODS:
            return
        uid = meta(change.tree)["uid"]
        if change.type == "DELETED":
            self._sandboxes.pop(uid, None)
        elif "deletionTimestamp" in meta(change.tree) and change.tree["spec"].get("nodeName"):
            self._control.soon(("end", uid), lambda: self._end(uid))
        elif uid in self._sandboxes and change.previous and change.previous["spec"] != change.tree["spec"]:
            self._control.soon(("resize", uid), lambda: self._resize(uid))

    def take(self, pod: Object) -> None:
        """Begin with a pod that the scheduler has sent here."""
        self._addresses += 1
        number = self._addresses
        address = f"10.244.{number // 250 % 250}.{number % 250 + 1}"
        sandbox = Sandbox(meta(pod)["uid"], address, containers_of(pod))
        self._sandboxes[sandbox.uid] = sandbox
        self._say(sandbox)
        self._attach(sandbox)

    def _resize(self, uid: str) -> None:
        """Give the containers what the pod asks for now, or say that the node can't."""
        sandbox = self._sandboxes.get(uid)
        pod = self._pod(sandbox) if sandbox else None
        if sandbox is None or pod is None:
            return
        wanted = resources_of(pod)
        if all(each.resources == wanted[each.name] for each in sandbox.containers):
            return
        if self._plans.befalls(meta(pod)["name"], Trouble.RESIZE_INFEASIBLE):
            now = self._control.clock.timestamp()
            text = self._plans.of(meta(pod)["name"]).message or "Node didn't have enough capacity: memory"
            pending = condition("PodResizePending", "True", now, reason="Infeasible", message=text)
            status = {**pod["status"], "conditions": with_condition(pod["status"]["conditions"], pending)}
            self._control.write_status(PODS, pod, status)
            return
        for container in sandbox.containers:
            container.resources = wanted[container.name]
        self._say(sandbox)

    def _attach(self, sandbox: Sandbox) -> None:
        pod = self._pod(sandbox)
        if pod is None:
            return
        for trouble, usual in BEFORE_CONTAINERS.items():
            if self._plans.befalls(meta(pod)["name"], trouble):
                text = self._plans.of(meta(pod)["name"]).message or usual
                self._control.event((PODS, pod), trouble.value, text, warning=True)
                self._later(FIRST_BACKOFF_S, sandbox, self._attach)
                return
        self._proceed(sandbox)

    def _proceed(self, sandbox: Sandbox) -> None:
        """Start what may start now: init containers one by one, a sidecar's successor once it has started, then the rest."""
        for container in sandbox.containers:
            if container.init and not (container.started if container.sidecar else container.done):
                self._pull_once(sandbox, container)
                return
        for container in sandbox.containers:
            if not container.init:
                self._pull_once(sandbox, container)

    def _pull_once(self, sandbox: Sandbox, container: Container) -> None:
        if container.name not in sandbox.begun:
            sandbox.begun.add(container.name)
            self._pull(sandbox, container)

    def _pull(self, sandbox: Sandbox, container: Container) -> None:
        pod = self._pod(sandbox)
        if pod is None:
            return
        if not _IMAGE.fullmatch(container.image) or self._befalls(pod, container, Trouble.INVALID_IMAGE):
            self._hold(sandbox, container, "InvalidImageName", f'Failed to apply default image tag "{container.image}"')
            return
        self._control.event((PODS, pod), "Pulling", f'Pulling image "{container.image}"')
        self._later(self._plans.of(meta(pod)["name"]).pull_s, sandbox, lambda it: self._pulled(it, container))

    def _pulled(self, sandbox: Sandbox, container: Container) -> None:
        pod = self._pod(sandbox)
        if pod is None:
            return
        if self._befalls(pod, container, Trouble.IMAGE_PULL):
            why = self._plans.of(meta(pod)["name"]).message or f"{container.image}: not found"
            self._control.event((PODS, pod), "Failed", f'Failed to pull image "{container.image}": {why}', warning=True)
            self._hold(sandbox, container, "ErrImagePull", why)
            self._later(1.0, sandbox, lambda it: self._back_off_pull(it, container, why))
            return
        if self._befalls(pod, container, Trouble.CONFIG):
            self._hold(sandbox, container, "CreateContainerConfigError", 'configmap "missing" not found')
            self._later(FIRST_BACKOFF_S, sandbox, lambda it: self._pulled(it, container))
            return
        self._start(sandbox, container)

    def _back_off_pull(self, sandbox: Sandbox, container: Container, why: str) -> None:
        text = f'Back-off pulling image "{container.image}": ErrImagePull: {why}'
        self._hold(sandbox, container, "ImagePullBackOff", text)
        self._later(sandbox.next_backoff_s(container.name), sandbox, lambda it: self._pull(it, container))

    def _hold(self, sandbox: Sandbox, container: Container, reason: str, message: str) -> None:
        container.wait(reason, message)
        self._say(sandbox)
        if pod := self._pod(sandbox):
            self._control.event((PODS, pod), "Failed", f"Error: {reason}: {message}", warning=True)

    def _start(self, sandbox: Sandbox, container: Container) -> None:
        pod = self._pod(sandbox)
        if pod is None:
            return
        container.run(self._control.clock.timestamp())
        self._say(sandbox)
        self._control.event((PODS, pod), "Started", f"Started container {container.name}")
        spec = (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
        self.runtime.start(pod, next(each for each in spec if each["name"] == container.name), self)

    def ready(self, uid: str, container: str) -> None:
        """Source of the order: a sidecar's successor starts once it has started."""
        sandbox = self._sandboxes.get(uid)
        if sandbox and sandbox.container(container).running and not sandbox.ending:
            held = sandbox.container(container)
            held.started = held.ready = True
            self._say(sandbox)
            self._proceed(sandbox)

    def unready(self, uid: str, container: str, why: str) -> None:
        """A probe failed: the container is not ready, and an event says why."""
        sandbox = self._sandboxes.get(uid)
        if sandbox and sandbox.container(container).running:
            sandbox.container(container).ready = False
            self._say(sandbox)
            if pod := self._pod(sandbox):
                self._control.event((PODS, pod), "Unhealthy", f"Startup probe failed: {why}", warning=True)

    def exited(self, uid: str, container: str, code: int, *, reason: str = "") -> None:
        """A container ended: an init container may be done, any other is started again, later each time."""
        sandbox = self._sandboxes.get(uid)
        if sandbox is None or sandbox.ending or not sandbox.container(container).running:
            return
        held = sandbox.container(container)
        held.end(self._control.clock.timestamp(), code=code, reason=reason or ("Error" if code else "Completed"))
        self._say(sandbox)
        if held.init and not held.sidecar and code == 0:
            self._proceed(sandbox)
            return
        held.restarts += 1
        # A real kubelet restarts it once at once and holds it back from the second time on.
        self._later(1.0, sandbox, lambda it: self._back_off_restart(it, held))

    def _back_off_restart(self, sandbox: Sandbox, container: Container) -> None:
        delay_s = sandbox.next_backoff_s(container.name)
        pod = self._pod(sandbox)
        if pod is None:
            return
        text = f"back-off {delay_s:.0f}s restarting failed container={container.name} pod={meta(pod)['name']}"
        container.wait("CrashLoopBackOff", text)
        self._say(sandbox)
        self._control.event(
            (PODS, pod), "BackOff", f"Back-off restarting failed container {container.name}", warning=True
        )
        self._later(delay_s, sandbox, lambda it: self._start(it, container))

    def evict(self, uid: str, message: str = "") -> None:
        """The pod fails as a whole and stays in the API until its owner or a person removes it."""
        sandbox = self._sandboxes.get(uid)
        pod = self._pod(sandbox) if sandbox else None
        if sandbox is None or pod is None:
            return
        sandbox.ending = True
        now = self._control.clock.timestamp()
        text = message or "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi."
        for container in sandbox.containers:
            container.end(now, code=137, reason="Error")
        self._say(sandbox)
        pod = self._pod(sandbox) or pod
        target = condition("DisruptionTarget", "True", now, reason="TerminationByKubelet", message=text)
        conditions = with_condition(pod["status"]["conditions"], target)
        status = {**pod["status"], "phase": "Failed", "reason": "Evicted", "message": text, "conditions": conditions}
        self._control.write_status(PODS, pod, status)
        self._control.event((PODS, pod), "Evicted", text, warning=True)
        self.runtime.stop(pod, lambda: None)

    def _end(self, uid: str) -> None:
        found = self._control.store.by_uid(uid)
        if found is None:
            return
        sandbox = self._sandboxes.get(uid)
        if sandbox and sandbox.ending:
            return
        if sandbox:
            sandbox.ending = True
        self.runtime.stop(found[1], lambda: self._ended(uid))

    def _ended(self, uid: str) -> None:
        found = self._control.store.by_uid(uid)
        if found:
            self._control.store.remove(*found)

    def _befalls(self, pod: Object, container: Container, trouble: Trouble) -> bool:
        name = meta(pod)["name"]
        return container.name == troubled_container(pod, self._plans.of(name)) and self._plans.befalls(name, trouble)

    def _say(self, sandbox: Sandbox) -> None:
        pod = self._pod(sandbox)
        if pod:
            now = self._control.clock.timestamp()
            status = running_status(pod, sandbox.containers, now=now, address=sandbox.address)
            self._control.write_status(PODS, pod, status)

    def _pod(self, sandbox: Sandbox) -> Object | None:
        found = self._control.store.by_uid(sandbox.uid)
        return found[1] if found and sandbox.uid in self._sandboxes else None

    def _later(self, delay_s: float, sandbox: Sandbox, action: Callable[[Sandbox], None]) -> None:
        def run() -> None:
            if not sandbox.ending and sandbox.uid in self._sandboxes:
                action(sandbox)

        self._control.clock.call_later(delay_s, run)
