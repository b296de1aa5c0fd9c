"""A runtime whose containers are processes: started, probed and ended as a kubelet does it."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.controllers.runtime import Reports
from provisioning.tests.cluster.kinds import PODS, Object
from provisioning.tests.cluster.node.images import Image, Translation, expanded
from provisioning.tests.cluster.node.volumes import Volumes, field_of
from provisioning.tests.cluster.serving import Served
from provisioning.tests.cluster.store import Change, meta

# Between two looks at processes and probes: a kubelet's probes come once a second at best, a test shall not wait for that.
LOOK_S = 0.05
PROBE_TIMEOUT_S = 2.0

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
    probe_url: str
    reports: Reports
    ready: bool = False


@dataclass
class _Place:
    """What a pod has on the node."""

    volumes: Mapping[str, Path]
    ports: Mapping[int, int]


class Processes:
    """Runs containers of the images that it knows. `close` ends all of them."""

    def __init__(self, api: Served, folder: Path, images: Mapping[str, Image]) -> None:
        self._cluster: Cluster = api.cluster
        self._api = api
        self._folder = folder
        self._images = dict(images)
        self.volumes = Volumes(api.cluster, folder, Path(api.ca_file))
        self._places: dict[str, _Place] = {}
        self._running: list[Running] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = httpx.Client(trust_env=False, timeout=PROBE_TIMEOUT_S)
        api.cluster.store.listeners.append(self._note)
        self._watcher = threading.Thread(target=self._watch, name="node", daemon=True)
        self._watcher.start()

    def port_of(self, pod: Object, port: int) -> int | None:
        """The machine's port for a container's port of a pod, None when it has none."""
        place = self._places.get(meta(pod)["uid"])
        return place.ports.get(port) if place else None

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
            probe_url=_probe_url(container, place.ports),
            reports=reports,
        )
        with self._lock:
            self._running.append(running)

    def stop(self, pod: Object, ended: Callable[[], None]) -> None:
        """See Runtime: the main containers end first, their sidecars after them."""
        uid = meta(pod)["uid"]
        grace_s = meta(pod).get("deletionGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"])
        with self._lock:
            mine = [each for each in self._running if each.uid == uid]
            self._running = [each for each in self._running if each.uid != uid]

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
        _end(left, CLOSE_GRACE_S)
        self._http.close()

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
        """Report who has ended and who is ready, until closed."""
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
            running.log.close()
            # What a shell would say of a signal, as a container runtime does.
            code = 128 - code if code < 0 else code
            self._cluster.run(lambda: running.reports.exited(running.uid, running.name, code))
        elif not running.ready and self._serves(running):
            running.ready = True
            self._cluster.run(lambda: running.reports.ready(running.uid, running.name))

    def _serves(self, running: Running) -> bool:
        if not running.probe_url:
            return True
        try:
            return self._http.get(running.probe_url).is_success
        except httpx.HTTPError:
            return False


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


def _value(pod: Object, variable: Object, before: Mapping[str, str]) -> str:
    """What a variable says, with the values of those before it."""
    if "valueFrom" in variable:
        return field_of(pod, variable["valueFrom"]["fieldRef"])
    return expanded(str(variable.get("value", "")), before)


def _probe_url(container: Object, ports: Mapping[int, int]) -> str:
    """Where its startup or readiness probe asks; empty without one."""
    probe = container.get("startupProbe") or container.get("readinessProbe")
    if not probe or "httpGet" not in probe:
        return ""
    asked = probe["httpGet"]["port"]
    named = {each.get("name"): each["containerPort"] for each in container.get("ports") or []}
    return f"http://127.0.0.1:{ports[named.get(asked, asked)]}{probe['httpGet']['path']}"


def _free_port() -> int:
    """A port that nobody has now; somebody may take it before the process does, which then exits and is started again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
