"""A runtime whose containers are processes: started, probed and ended as a kubelet does it."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.controllers.runtime import Reports
from provisioning.tests.cluster.kinds import PODS, Object
from provisioning.tests.cluster.node.images import Image, Translation, expanded
from provisioning.tests.cluster.node.probes import Outcome, Prober, probes_of
from provisioning.tests.cluster.node.volumes import Volumes, field_of
from provisioning.tests.cluster.serving import Served
from provisioning.tests.cluster.store import Change, meta

# Between two looks at which processes have ended.
LOOK_S = 0.05

# What is left when a test is over need not end well.
CLOSE_GRACE_S = 5.0


@dataclass
class Running:
    """One container's process."""

    uid: str
    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    sidecar: bool
    reports: Reports
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Place:
    """What a pod has on the node."""

    volumes: Mapping[str, Path]
    ports: Mapping[int, int]


class Processes:
    """Runs containers of the images that it knows, `hurry` times as hasty as they say. `close` ends all of them."""

    def __init__(self, api: Served, folder: Path, images: Mapping[str, Image], *, hurry: float = 1.0) -> None:
        self._cluster: Cluster = api.cluster
        self._api = api
        self._folder = folder
        self._images = dict(images)
        self._hurry = hurry
        self.volumes = Volumes(api.cluster, folder, Path(api.ca_file))
        self._places: dict[str, _Place] = {}
        self._running: list[Running] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        api.cluster.store.listeners.append(self._note)
        self._watcher = threading.Thread(target=self._watch, name="node", daemon=True)
        self._watcher.start()

    def port_of(self, pod: Object, port: int) -> int | None:
        """The machine's port for a container's port of a pod, None when it has none."""
        place = self._places.get(meta(pod)["uid"])
        return place.ports.get(port) if place else None

    def pid_of(self, uid: str, container: str) -> int:
        """The process of a container of a pod."""
        with self._lock:
            return next(each.process.pid for each in self._running if (each.uid, each.name) == (uid, container))

    def log_of(self, deployment: str) -> str:
        """What the containers of a Deployment's pods have printed."""
        logs = sorted((self._folder / "logs").glob(f"{deployment}-*"))
        return "".join(f"--- {log.name}\n{log.read_text(errors='replace')}" for log in logs)

    def start(self, pod: Object, container: Object, reports: Reports) -> None:
        """See Runtime. The kubelet calls this with the cluster's lock held, so nothing here waits."""
        image = self._images[container["image"]]
        place = self._place(pod)
        mounts = {each["mountPath"]: place.volumes[each["name"]] for each in container.get("volumeMounts") or []}
        translation = Translation(mounts, place.ports)
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        log = (logs / f"{meta(pod)['name']}.{container['name']}").open("ab")
        process = subprocess.Popen(
            [translation.text(part) for part in (*image.command, *(container.get("args") or []))],
            cwd=image.folder,
            env=self._environment(pod, container, translation),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = Running(
            uid=meta(pod)["uid"],
            name=container["name"],
            process=process,
            log=log,
            sidecar=container.get("restartPolicy") == "Always",
            reports=reports,
        )
        with self._lock:
            self._running.append(running)
        grace_s = pod["spec"]["terminationGracePeriodSeconds"]
        probes = probes_of(container, place.ports, hurry=self._hurry)
        Prober(probes, self._outcome(running, grace_s=grace_s / self._hurry), running.ended).begin()

    def stop(self, pod: Object, ended: Callable[[], None]) -> None:
        """See Runtime: the main containers end first, their sidecars after them."""
        uid = meta(pod)["uid"]
        grace_s = (
            meta(pod).get("deletionGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"]) / self._hurry
        )
        with self._lock:
            mine = [each for each in self._running if each.uid == uid]
            self._running = [each for each in self._running if each.uid != uid]
        for each in mine:
            each.ended.set()

        def end_all() -> None:
            for sidecars in (False, True):
                _end([each for each in mine if each.sidecar is sidecars], grace_s)
            self._cluster.run(ended)

        threading.Thread(target=end_all, name=f"end-{uid}", daemon=True).start()

    def close(self) -> None:
        """End every process."""
        self._closing.set()
        self._watcher.join()
        with self._lock:
            left, self._running = self._running, []
        for each in left:
            each.ended.set()
        _end(left, CLOSE_GRACE_S)

    def _outcome(self, running: Running, *, grace_s: float) -> Outcome:
        """What becomes of a container by its probes; one that is dead is ended, which its exit tells."""
        uid, name, reports = running.uid, running.name, running.reports
        return Outcome(
            ready=lambda: self._cluster.run(lambda: reports.ready(uid, name)),
            unready=lambda: self._cluster.run(lambda: reports.unready(uid, name, "timeout")),
            dead=lambda: _end_one(running, grace_s),
        )

    def _note(self, change: Change) -> None:
        if change.kind is PODS and change.type == "MODIFIED" and meta(change.tree)["uid"] in self._places:
            self.volumes.renew(change.tree)

    def _place(self, pod: Object) -> _Place:
        uid = meta(pod)["uid"]
        if uid not in self._places:
            containers = (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
            ports = {port for each in containers for port in self._images[each["image"]].ports}
            ports |= {port["containerPort"] for each in containers for port in each.get("ports") or []}
            self._places[uid] = _Place(self.volumes.made_for(pod), {port: _free_port() for port in ports})
        return self._places[uid]

    def _environment(self, pod: Object, container: Object, translation: Translation) -> dict[str, str]:
        image = self._images[container["image"]]
        given: dict[str, str] = {}
        for each in container.get("env") or []:
            given[each["name"]] = _value(pod, each, given)
        own = {"PATH": os.environ["PATH"], "TMPDIR": "/tmp"}  # noqa: S108 - a mount of the pod where it has one
        pod_s = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._api.port)}
        return translation.environment({**own, **image.environment, **given}) | pod_s

    def _watch(self) -> None:
        """Report who has ended, until closed."""
        while not self._closing.wait(LOOK_S):
            with self._lock:
                all_running = list(self._running)
            for running in all_running:
                self._look(running)

    def _look(self, running: Running) -> None:
        code = running.process.poll()
        if code is not None:
            with self._lock:
                if running not in self._running:
                    return
                self._running.remove(running)
            running.ended.set()
            running.log.close()
            # What a shell would say of a signal, as a container runtime does.
            code = 128 - code if code < 0 else code
            self._cluster.run(lambda: running.reports.exited(running.uid, running.name, code))


def _end(containers: list[Running], grace_s: float) -> None:
    for each in containers:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + grace_s
    for each in containers:
        try:
            each.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            each.process.kill()
            each.process.wait()
        each.log.close()


def _end_one(running: Running, grace_s: float) -> None:
    running.process.send_signal(signal.SIGTERM)
    try:
        running.process.wait(grace_s)
    except subprocess.TimeoutExpired:
        running.process.kill()


def _value(pod: Object, variable: Object, before: Mapping[str, str]) -> str:
    """What a variable says, with the values of those before it."""
    if "valueFrom" in variable:
        return field_of(pod, variable["valueFrom"]["fieldRef"])
    return expanded(str(variable.get("value", "")), before)


def _free_port() -> int:
    """A port that nobody has now; somebody may take it before the process does, which then exits and is started again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
