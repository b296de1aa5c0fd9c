"""Print what workspaces on Kubernetes cost: memory, API calls, what two gateways make of one user's starts, time to name a
cause, time to a thousand starts. Exits with 1 when a figure is over its bound.

    python -m bench.provisioning [--users 1000] [--pods 5000]

The API server is the tests' own, with controllers, in a process of its own; PostgreSQL is embedded. Times hold for a machine
that does nothing else: the load average is printed last.
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.admin import prepare_django
from bench.folders import passing_folder

TICK_S = 0.01
# A frame's delay that nobody sees.
LATE_MS = 50
GATEWAYS = 2
# Of each gateway, all for one user.
CALLERS = 50
CAUSES = (
    "IMAGE_PULL",
    "INVALID_IMAGE",
    "CONFIG",
    "CRASH_LOOP",
    "OOM_KILLED",
    "UNSCHEDULABLE",
    "CLAIM_PENDING",
    "MULTI_ATTACH",
)


class Figures:
    """What was measured, printed as it comes, and which were over their bound."""

    def __init__(self) -> None:
        self.over: list[str] = []

    def tell(self, what: str, value: float, unit: str, *, bound: float | None = None) -> None:
        """One figure."""
        print(
            f"{what:<62} {value:>10.1f} {unit}" + (f"   (at most {bound:g})" if bound is not None else ""), flush=True
        )
        if bound is not None and value > bound:
            self.over.append(what)

    def expect(self, what: str, *, found: object, expected: object) -> None:
        """Something that must be just so."""
        print(f"{what:<62} {found}", flush=True)
        if found != expected:
            self.over.append(f"{what} (should be {expected})")


class ClusterServer:
    """The API server's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.facts = self._read()

    def ask(self, command: str) -> dict[str, int]:
        """What the server answers; see its module."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def cluster_server(folder: Path) -> Iterator[ClusterServer]:
    """The API server, and PROVISIONER=kubernetes working against it."""
    from django.conf import settings  # noqa: PLC0415

    command = [sys.executable, "-m", "bench.cluster_server", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        server = ClusterServer(process)
        settings.PROVISIONER = "kubernetes"
        settings.KUBECONFIG = server.facts["kubeconfig"]
        settings.WORKSPACE_ENDPOINT_TEMPLATE = f"http://127.0.0.1:{server.facts['port']}/{{name}}/mcp"
        settings.DEBUG = True
        yield server
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    options = parser.parse_args()
    figures = Figures()
    folder = passing_folder()
    prepare_django(folder)
    # A fresh process shows what is kept; one that has worked has memory to spare.
    with cluster_server(Path(tempfile.mkdtemp(dir=folder))) as server:
        asyncio.run(measure_memory(server, figures, pods=options.pods))
    for measure in (measure_calls, measure_rush, measure_causes, partial(measure_starts, users=options.users)):
        with cluster_server(Path(tempfile.mkdtemp(dir=folder))) as server:
            asyncio.run(with_gateway(measure, server, figures))
    figures.tell("load average of the last minute", os.getloadavg()[0], f"on {os.cpu_count()} cores")
    if figures.over:
        sys.exit(f"Over the bound: {', '.join(figures.over)}")


async def with_gateway(
    measurement: Callable[[ClusterServer, Figures], Awaitable[None]], server: ClusterServer, figures: Figures
) -> None:
    """Measure with a lease and a pool, as a gateway has them."""
    from gateway.db import close_pool, open_pool  # noqa: PLC0415
    from gateway.leases import Lease  # noqa: PLC0415
    from provisioning import holding, launching  # noqa: PLC0415
    from provisioning.workspaces import close_workspaces  # noqa: PLC0415

    await open_pool()
    lease = Lease("bench")
    await asyncio.to_thread(lease.acquire)
    holding.hold_with(lease)
    try:
        await measurement(server, figures)
    finally:
        holding.hold_with(None)
        launching.forget_all()
        await close_workspaces()
        await asyncio.to_thread(lease.release)
        await close_pool()


def licence(user_id: str) -> Any:
    """A pro licence for a user."""
    from provisioning.tests.gateways import licence_of  # noqa: PLC0415

    return licence_of(user_id)


async def measure_calls(server: ClusterServer, figures: Figures) -> None:
    """API calls of one user's cold start, resume and use."""
    from provisioning import launching  # noqa: PLC0415
    from provisioning.backends.kubernetes import BACKEND  # noqa: PLC0415
    from provisioning.names import workspace_name  # noqa: PLC0415
    from provisioning.workspaces import ensure_workspace, stop_workspace  # noqa: PLC0415

    await ensure_workspace(licence("first"))
    server.ask("counts")

    async def calls_of(work: Awaitable[object]) -> int:
        await work
        return sum(server.ask("counts").values())

    figures.tell("API calls of a cold start", await calls_of(ensure_workspace(licence("user"))), "calls", bound=4)
    figures.tell("API calls of a use", await calls_of(ensure_workspace(licence("user"))), "calls", bound=0)
    # As in a process that has neither started it nor said that it is wanted.
    launching.forget_all()
    BACKEND.demand.forget(workspace_name("user"))
    first = await calls_of(ensure_workspace(licence("user")))
    figures.tell("API calls of a gateway's first use of what another started", first, "calls", bound=1)
    await stop_workspace("user")
    server.ask("counts")
    figures.tell("API calls of a resume", await calls_of(ensure_workspace(licence("user"))), "calls", bound=1)


async def measure_rush(server: ClusterServer, figures: Figures) -> None:
    """One user's workspace, asked for many times at once in several gateway processes."""
    from django.conf import settings  # noqa: PLC0415

    from provisioning.names import workspace_name  # noqa: PLC0415
    from provisioning.workspaces import ensure_workspace  # noqa: PLC0415

    await ensure_workspace(licence("first"))
    server.ask("counts")
    given = {
        name: str(getattr(settings, name)) for name in ("PROVISIONER", "KUBECONFIG", "WORKSPACE_ENDPOINT_TEMPLATE")
    }
    command = [
        sys.executable,
        "-m",
        "provisioning.tests.gateway_process",
        str(settings.DATA_DIR),
        "-",
        "rush",
        "rushed",
    ]
    gateways = [
        await asyncio.create_subprocess_exec(
            *command, env=os.environ | given, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(GATEWAYS)
    ]
    for gateway in gateways:
        await _line_of(gateway)
    answers = await asyncio.gather(*(gateway.communicate(b"go\n") for gateway in gateways))
    urls = [url for out, _ in answers for url in out.split()]
    what = f"{len(urls)} starts at once in {GATEWAYS} processes"
    figures.expect(f"{what}: endpoints", found=len(set(urls)), expected=1)
    made = server.ask(f"objects {workspace_name('rushed')}")
    kinds = ("deployments", "persistentvolumeclaims", "serviceaccounts", "services")
    figures.expect(f"{what}: objects", found=made, expected=dict.fromkeys(kinds, 1))
    writes = sum(
        count for call, count in server.ask("counts").items() if call.startswith(("patch", "create", "update"))
    )
    # The gateways that join say once that the workspace is wanted.
    figures.tell(f"{what}: writes", writes, "calls", bound=4 + GATEWAYS - 1)
    if len(urls) != GATEWAYS * CALLERS:
        figures.over.append(f"{GATEWAYS * CALLERS - len(urls)} callers have no workspace")


async def _line_of(gateway: asyncio.subprocess.Process) -> None:
    assert gateway.stdout is not None
    await gateway.stdout.readline()


async def measure_causes(server: ClusterServer, figures: Figures) -> None:
    """From the start to the sentence that names what is wrong; the API shows each within the time of a pod's creation."""
    from provisioning.errors import Cause, WorkspaceFailed, meanwhile  # noqa: PLC0415
    from provisioning.names import workspace_name  # noqa: PLC0415
    from provisioning.stages import StageReport  # noqa: PLC0415
    from provisioning.workspaces import ensure_workspace  # noqa: PLC0415

    sentences = {meanwhile(cause) for cause in Cause}
    await ensure_workspace(licence("first"))
    # Each of these failures is meant.
    logging.disable(logging.ERROR)
    for trouble in CAUSES:
        server.ask(f"plan {workspace_name(trouble)} {trouble}")
        named = asyncio.get_running_loop().create_future()

        async def tell(report: StageReport, named: "asyncio.Future[str]" = named) -> None:
            if report.detail in sentences and not named.done():
                named.set_result(report.detail)

        began = time.monotonic()
        start = asyncio.create_task(ensure_workspace(licence(trouble), on_stage=tell))
        await asyncio.wait({start, named}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        took_s = time.monotonic() - began
        start.cancel()
        failure = (await asyncio.gather(start, return_exceptions=True))[0]
        if not named.done() and not isinstance(failure, WorkspaceFailed):
            figures.over.append(f"{trouble} is not named")
        figures.tell(f"time until {trouble} is named", took_s, "s", bound=2)
    logging.disable(logging.NOTSET)


async def measure_starts(server: ClusterServer, figures: Figures, *, users: int) -> None:
    """Many users at once, and how late the event loop is meanwhile."""
    from provisioning.workspaces import ensure_workspace  # noqa: PLC0415

    await ensure_workspace(licence("first"))
    server.ask("counts")
    lags: list[tuple[float, float]] = []
    watching = asyncio.create_task(watch_lag(lags))
    began, worked = time.monotonic(), time.process_time()
    waits: list[float] = []

    async def start(number: int) -> None:
        await ensure_workspace(licence(f"user-{number}"))
        waits.append(time.monotonic() - began)

    await asyncio.gather(*(start(number) for number in range(users)))
    figures.tell(f"{users} users started", time.monotonic() - began, "s", bound=60)
    figures.tell("processor time of each", 1000 * (time.process_time() - worked) / users, "ms", bound=50)
    watching.cancel()
    figures.tell("half of them within", median(waits), "s")
    late, own = (quantiles(each, n=20)[-1] for each in zip(*lags, strict=True))
    figures.tell("event loop late by the gateway's own work, p95", 1000 * own, "ms", bound=LATE_MS)
    # The rest is waiting for a core: the API server, the database and whatever else runs here want the same ones.
    figures.tell("event loop late, with its waits for a core, p95", 1000 * late, "ms", bound=LATE_MS)
    figures.tell("API calls of each", sum(server.ask("counts").values()) / users, "calls", bound=4)


async def watch_lag(lags: list[tuple[float, float]]) -> None:
    """How much later than asked for a sleeper wakes, and how much of that this thread can have worked, in seconds."""
    while True:
        asleep, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(TICK_S)
        late = time.perf_counter() - asleep - TICK_S
        lags.append((late, min(late, time.thread_time() - worked)))


async def measure_memory(server: ClusterServer, figures: Figures, *, pods: int) -> None:
    """What so many known workspaces add to the process."""
    from provisioning.backends._kubernetes.cluster import close_cluster, cluster  # noqa: PLC0415

    # The client's package is part of the process, not of what is kept.
    await cluster()
    await close_cluster()
    server.ask(f"fill {pods}")
    before = resident_mib()
    began, worked = time.monotonic(), time.process_time()
    found = await cluster()
    figures.tell(f"listing {len(found.pods)} workspaces", time.monotonic() - began, "s")
    figures.tell("the gateway's processor time of that", time.process_time() - worked, "s", bound=10)
    kept = resident_mib()
    figures.tell(f"memory of {len(found.pods)} cached pods and their objects", kept - before, "MiB", bound=150)
    figures.tell("the whole process then", kept, "MiB")
    await close_cluster()


def resident_mib() -> float:
    """The process's memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
