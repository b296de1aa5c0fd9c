"""Probes of one container, as a kubelet makes them: the startup probe first, then readiness and liveness side by side.

Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from provisioning.tests.cluster.kinds import Object

# A kubelet's startup probes come once a second at best; a test shall not wait for that.
STARTUP_S = 0.05
# On a machine that tests keep busy a probe may take this long.
LEAST_TIMEOUT_S = 0.5


@dataclass(frozen=True)
class Probe:
    """`url` "" = there is none, which always succeeds."""

    url: str = ""
    period_s: float = 10.0
    timeout_s: float = 1.0
    failures: int = 3

    def succeeds(self) -> bool:
        """Ask once."""
        if not self.url:
            return True
        try:
            return httpx.get(self.url, timeout=self.timeout_s, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@dataclass(frozen=True)
class Probes:
    """The three probes of a container."""

    startup: Probe
    readiness: Probe
    liveness: Probe


@dataclass(frozen=True)
class Outcome:
    """What the kubelet does about it."""

    ready: Callable[[], None]
    unready: Callable[[], None]
    dead: Callable[[], None]


def probes_of(container: Object, ports: Mapping[int, int], *, hurry: float) -> Probes:
    """As the container has them, its ports on the machine; periods and timeouts are `hurry` times shorter."""
    startup, readiness, liveness = (
        _probe(container, f"{kind}Probe", ports, hurry) for kind in ("startup", "readiness", "liveness")
    )
    return Probes(startup, readiness, liveness)


def _probe(container: Object, kind: str, ports: Mapping[int, int], hurry: float) -> Probe:
    given = container.get(kind)
    if not given or "httpGet" not in given:
        return Probe()
    asked = given["httpGet"]["port"]
    named = {each.get("name"): each["containerPort"] for each in container.get("ports") or []}
    return Probe(
        url=f"http://127.0.0.1:{ports[named.get(asked, asked)]}{given['httpGet']['path']}",
        period_s=given.get("periodSeconds", 10) / hurry,
        timeout_s=max(given.get("timeoutSeconds", 1) / hurry, LEAST_TIMEOUT_S),
        failures=given.get("failureThreshold", 3),
    )


class Prober:
    """Probes one container until `ended` is set."""

    def __init__(self, probes: Probes, outcome: Outcome, ended: threading.Event) -> None:
        self._probes = probes
        self._outcome = outcome
        self._ended = ended

    def begin(self) -> None:
        """Start probing."""
        threading.Thread(target=self._start, name="probes", daemon=True).start()

    def _start(self) -> None:
        while not self._probes.startup.succeeds():
            if self._ended.wait(STARTUP_S):
                return
        if self._probes.liveness.url:
            threading.Thread(target=self._live, name="liveness", daemon=True).start()
        self._be_ready()

    def _be_ready(self) -> None:
        probe, ready, failed = self._probes.readiness, False, 0
        while not self._ended.is_set():
            failed = 0 if probe.succeeds() else failed + 1
            if self._ended.is_set():
                return
            if not ready and failed == 0:
                ready = True
                self._outcome.ready()
            elif ready and failed >= probe.failures:
                ready = False
                self._outcome.unready()
            if not probe.url:
                return
            self._ended.wait(probe.period_s)

    def _live(self) -> None:
        probe, failed = self._probes.liveness, 0
        while not self._ended.wait(probe.period_s):
            failed = 0 if probe.succeeds() else failed + 1
            if failed >= probe.failures and not self._ended.is_set():
                self._outcome.dead()
                return
