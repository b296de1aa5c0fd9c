"""A gateway that is killed between any two API calls of a start: the next start, or a reconcile, completes it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from gateway import db
from provisioning import rows
from provisioning.backends.kubernetes import BACKEND
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Fault, Gate
from provisioning.tests.gateways import licence_of
from provisioning.tests.test_crashes import database_url
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool", "users")]
NAME = workspace_name("demo-pro")
WRITES = ["configmaps", "serviceaccounts", "persistentvolumeclaims", "deployments", "services"]


@pytest.fixture
def gateway(bed: Bed, data_dir: Path, settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """A gateway process that begins a start for demo-pro once it gets a line, and is killed by the test."""
    given = {
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(data_dir),
        "DEBUG": "true",
        "SECRET_KEY": "for-tests-only",
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
    }
    for name in ("PROVISIONER", "KUBECONFIG", "KUBERNETES_NAMESPACE", "WORKSPACE_ENDPOINT_TEMPLATE"):
        given[name] = str(getattr(settings, name))
    command = [sys.executable, "-m", "provisioning.tests.gateway_process", str(data_dir), "-", "rush", "demo-pro"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR, env=os.environ | given
    )
    yield process
    process.kill()
    process.communicate()


async def killed_at(gateway: "subprocess.Popen[str]", bed: Bed, fault: Fault, gate: Gate) -> None:
    bed.cluster.faults.add(fault)
    assert gateway.stdout is not None
    assert gateway.stdin is not None
    assert (await asyncio.to_thread(gateway.stdout.readline)) == "up\n"
    gateway.stdin.write("go\n")
    gateway.stdin.flush()
    assert await asyncio.to_thread(gate.reached.wait, 30)
    gateway.kill()
    await asyncio.to_thread(gateway.wait)
    gate.open()
    async with db.connection() as conn:
        # As ten seconds later.
        await conn.execute("DELETE FROM worker_leases")


def held(place: str, gate: Gate, *, done: bool) -> Fault:
    """A call that waits before it is carried out, or after."""
    return Fault(verb="patch", resource=place, gate=None if done else gate, gate_after=gate if done else None)


def every_point() -> Iterator[object]:
    for place in WRITES:
        for done in (False, True):
            # Each is a process of its own: two of them in the quick run.
            quick = (place, done) in {("deployments", True), ("services", False)}
            marks = [] if quick else [pytest.mark.soak]
            yield pytest.param(place, done, marks=marks, id=f"{'after' if done else 'before'} {place}")


@pytest.mark.parametrize(("place", "done"), list(every_point()))
async def test_the_next_start_completes_what_a_killed_gateway_began(
    place: str, done: bool, bed: Bed, gateway: "subprocess.Popen[str]"
) -> None:
    gate = Gate()
    fault = held(place, gate, done=done)
    await killed_at(gateway, bed, fault, gate)
    await ensure_workspace(licence_of("demo-pro"))

    for plural in ("deployments", "services", VOLUMES):
        assert bed.cluster.names(plural) == [NAME]
    row = await rows.find(NAME)
    assert row is not None
    assert row.state == State.READY


@pytest.mark.parametrize(("place", "done"), list(every_point()))
async def test_a_reconcile_tidies_up_what_a_killed_gateway_began(
    place: str, done: bool, bed: Bed, gateway: "subprocess.Popen[str]"
) -> None:
    gate = Gate()
    fault = held(place, gate, done=done)
    await killed_at(gateway, bed, fault, gate)
    await BACKEND.reconcile(dry_run=False)
    row = await rows.find(NAME)

    assert row is not None
    assert (row.state, row.held) in {(State.READY, False), (State.STOPPED, False)}
    if bed.cluster.names("deployments"):
        assert bed.replicas(NAME) == (1 if row.state == State.READY else 0)
