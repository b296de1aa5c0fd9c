"""A gateway that is killed between any two API calls of what it does: the next start, or a reconcile, completes it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from gateway import db
from provisioning import launching, rows
from provisioning.backends.kubernetes import BACKEND
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Fault, Gate
from provisioning.tests.gateways import licence_of
from provisioning.tests.test_crashes import database_url
from provisioning.workspaces import delete_workspace, ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool", "users")]
NAME = workspace_name("demo-pro")
OWN = ("deployments", "services", "serviceaccounts", VOLUMES)
# No bound of what is tested: a process that does not come so far must end the test.
HANGS_S = 60.0
SMALLER = {"memory": "1Gi", "storage": "5Gi"}


async def nothing(_bed: Bed) -> None:
    """There is no workspace yet."""


async def runs(_bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro"))


async def sleeps(bed: Bed) -> None:
    await runs(bed)
    await stop_workspace("demo-pro")


async def runs_smaller(_bed: Bed) -> None:
    await ensure_workspace(licence_of("demo-pro", **SMALLER))


async def sleeps_smaller(bed: Bed) -> None:
    await runs_smaller(bed)
    await stop_workspace("demo-pro")


async def runs_deaf(bed: Bed) -> None:
    await runs(bed)
    bed.deaf.update(bed.ready(NAME))


@dataclass(frozen=True)
class Deed:
    """What the gateway does that is killed, from where, and its calls that write, in their order."""

    action: str
    before: Callable[[Bed], Awaitable[None]]
    writes: tuple[str, ...]


DEEDS = {
    "a first start": Deed(
        "rush",
        nothing,
        (
            "patch configmaps",
            "patch serviceaccounts",
            f"patch {VOLUMES}",
            "patch deployments",
            "patch services",
        ),
    ),
    "a wake": Deed("rush", sleeps, ("patch deployments",)),
    "a wake with another licence": Deed("rush", sleeps_smaller, (f"patch {VOLUMES}", "patch deployments")),
    "a use with another licence": Deed("rush", runs_smaller, ("patch deployments", f"patch {VOLUMES}", "patch pods")),
    "a join": Deed("rush", runs, ("patch deployments",)),
    "a replacement": Deed("fresh", runs_deaf, ("patch deployments",)),
    "a stop": Deed("stop", runs, ("patch deployments",)),
    "a deletion": Deed("delete", runs, ("patch deployments", *(f"delete {plural}" for plural in OWN))),
}
# Each is a process of its own: these in the quick run.
QUICK = {
    ("a first start", "patch deployments", True),
    ("a wake with another licence", f"patch {VOLUMES}", True),
    ("a deletion", "delete deployments", True),
}

Kill = Callable[[str, Fault], Awaitable[None]]


@pytest.fixture
def kill(bed: Bed, data_dir: Path, settings: Settings) -> Iterator[Kill]:
    """Starts a gateway process that does something for demo-pro, and kills it where the fault's gate holds it."""
    begun: list[subprocess.Popen[str]] = []

    async def do(action: str, fault: Fault) -> None:
        gate = fault.gate or fault.gate_after
        assert gate is not None
        process = started(action, data_dir, settings)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdin is not None
        assert (await asyncio.to_thread(process.stdout.readline)) == "up\n"
        bed.cluster.faults.add(fault)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert await asyncio.to_thread(gate.reached.wait, HANGS_S)
        process.kill()
        await asyncio.to_thread(process.wait)
        gate.open()
        async with db.connection() as conn:
            # As ten seconds later.
            await conn.execute("DELETE FROM worker_leases")

    yield do
    for process in begun:
        process.kill()
        process.communicate()


def started(action: str, data_dir: Path, settings: Settings) -> "subprocess.Popen[str]":
    given = {
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(data_dir),
        "DEBUG": "true",
        "SECRET_KEY": "for-tests-only",
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
    }
    for name in ("PROVISIONER", "KUBECONFIG", "KUBERNETES_NAMESPACE", "WORKSPACE_ENDPOINT_TEMPLATE"):
        given[name] = str(getattr(settings, name))
    command = [sys.executable, "-m", "provisioning.tests.gateway_process", str(data_dir), "-", action, "demo-pro"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR, env=os.environ | given
    )


def held(write: str, *, done: bool) -> Fault:
    """A call that waits before it is carried out, or after."""
    verb, _, plural = write.partition(" ")
    gate = Gate()
    return Fault(verb=verb, resource=plural, gate=None if done else gate, gate_after=gate if done else None)


def every_point() -> Iterator[object]:
    for name, deed in DEEDS.items():
        for write in deed.writes:
            # The Service has gone with its Deployment by then: that call does nothing.
            for done in (False, True) if write != "delete services" else (False,):
                marks = [] if (name, write, done) in QUICK else [pytest.mark.soak]
                when = "after" if done else "before"
                yield pytest.param(deed, write, done, marks=marks, id=f"{name}: {when} {write}")


async def broken_off(deed: Deed, fault: Fault, *, bed: Bed, kill: Kill, settings: Settings) -> list[str]:
    """A gateway was killed there; gives the pods that there were before."""
    if deed.action == "delete":
        settings.KUBECONFIG = str(bed.served.kubeconfig())
    await deed.before(bed)
    pods = bed.ready(NAME)
    await kill(deed.action, fault)
    # This process is another gateway.
    launching.forget_all()
    BACKEND.demand.forget(NAME)
    await bed.heard()
    return pods


@pytest.mark.parametrize(("deed", "write", "done"), list(every_point()))
async def test_the_next_start_completes_what_a_killed_gateway_began(
    deed: Deed, write: str, done: bool, bed: Bed, kill: Kill, settings: Settings
) -> None:
    pods = await broken_off(deed, held(write, done=done), bed=bed, kill=kill, settings=settings)
    await ensure_workspace(licence_of("demo-pro"))

    for plural in OWN:
        assert bed.cluster.names(plural) == [NAME] if plural != "serviceaccounts" else NAME in bed.cluster.names(plural)
    assert len(bed.ready(NAME)) == 1
    row = await rows.find(NAME)
    assert row is not None
    assert row.state == State.READY
    assert sizes(bed) == ("2Gi", "10Gi")
    if deed.before in {runs, runs_smaller} and deed.action == "rush":
        assert bed.ready(NAME) == pods


@pytest.mark.parametrize(("deed", "write", "done"), list(every_point()))
async def test_a_reconcile_tidies_up_what_a_killed_gateway_began(
    deed: Deed, write: str, done: bool, bed: Bed, kill: Kill, settings: Settings
) -> None:
    pods = await broken_off(deed, held(write, done=done), bed=bed, kill=kill, settings=settings)
    await BACKEND.reconcile(dry_run=False)
    row = await rows.find(NAME)

    assert row is not None
    assert (row.state, row.held) in {(State.READY, False), (State.STOPPED, False)}
    if bed.cluster.names("deployments"):
        assert bed.replicas(NAME) == (1 if row.state == State.READY else 0)
    if deed.before in {runs, runs_smaller} and deed.action == "rush":
        assert bed.ready(NAME) == pods
    if deed.action == "stop":
        assert row.state == State.STOPPED
    if deed.action == "delete":
        await deleted_for_good(bed)


async def deleted_for_good(bed: Bed) -> None:
    """Whoever asks for it again has it done: a reconcile deletes no data."""
    await delete_workspace("demo-pro", with_data=True)

    assert [name for plural in OWN for name in bed.cluster.names(plural) if name == NAME] == []
    assert await rows.find(NAME) is None


def sizes(bed: Bed) -> tuple[str, str]:
    """The memory of the pod that runs, and what is asked of its volume."""
    [pod] = [pod for pod in bed.cluster.pods_of(NAME) if pod["metadata"]["uid"] in bed.ready(NAME)]
    volume = bed.cluster.get(VOLUMES, NAME)
    memory: str = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
    return memory, str(volume["spec"]["resources"]["requests"]["storage"])
