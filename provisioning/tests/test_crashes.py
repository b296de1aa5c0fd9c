"""Several gateway processes, and what is left of one that is killed: DESIGN, section 7."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connections

from accounts.licences import Licence
from gateway import db
from provisioning import rows
from provisioning.backends._process import processes
from provisioning.backends.process import BACKEND
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests import stand_in
from provisioning.tests.gateways import gateway_keeper, until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool")]
NAME = workspace_name("demo-pro")
Gateway = subprocess.Popen[str]
# No bound of what is tested: a process that does not end must end the test.
HANGS_S = 60.0


def database_url() -> str:
    """The URL of the test's own database."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path="/" + str(connections["default"].settings_dict["NAME"])))


@pytest.fixture
def gateway(code: Path, data_dir: Path) -> Iterator[Callable[[str], Gateway]]:
    """Starts a gateway process that does `keep` or `rush` for demo-pro."""
    begun: list[Gateway] = []

    def start(action: str) -> Gateway:
        command = [sys.executable, "-m", "provisioning.tests.gateway_process", str(data_dir), str(BACKEND.code_dir)]
        environment = os.environ | {"DATABASE_URL": database_url()}
        begun.append(
            subprocess.Popen(
                [*command, action, "demo-pro"],
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        with process:
            pass


async def status_of(process: Gateway) -> int:
    """How the gateway ended. How long that takes is the machine's: an interpreter's end alone may be seconds under load."""
    return await asyncio.to_thread(process.wait, HANGS_S)


async def line_of(process: Gateway) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


def rush(process: Gateway) -> list[str]:
    """Give the sign, and take what every caller got."""
    return process.communicate("go\n")[0].split()


async def kept(process: Gateway) -> str:
    """The URL of the workspace that the gateway keeps."""
    assert await line_of(process) == "up"
    return await line_of(process)


async def row() -> rows.Row:
    found = await rows.find(NAME)
    assert found is not None
    return found


async def outlast_the_lease() -> None:
    """What ten seconds do to the lease of a killed process."""
    async with db.connection() as conn:
        await conn.execute("UPDATE worker_leases SET expires_at = clock_timestamp()")


async def test_fifty_callers_each_in_two_processes_start_one_server(
    gateway: Callable[[str], Gateway], code: Path
) -> None:
    rushing = [gateway("rush") for _ in range(2)]
    assert [await line_of(process) for process in rushing] == ["up", "up"]
    outputs = await asyncio.gather(*(asyncio.to_thread(rush, process) for process in rushing))

    assert [len(urls) for urls in outputs] == [50, 50]
    assert len({url for urls in outputs for url in urls}) == 1
    assert stand_in.starts(code) == ["demo-pro"]


async def test_after_a_kill_the_running_workspace_is_adopted_as_it_is(
    gateway: Callable[[str], Gateway], code: Path, pro: Licence
) -> None:
    first = gateway("keep")
    url = await kept(first)
    first.kill()
    first.wait()
    await outlast_the_lease()

    assert await kept(gateway("keep")) == url
    assert stand_in.starts(code) == ["demo-pro"]


async def test_after_a_kill_during_a_start_the_half_started_one_is_replaced(
    gateway: Callable[[str], Gateway], code: Path, data_dir: Path
) -> None:
    stand_in.write_code(code, stand_in.NEVER_READY)
    first = gateway("keep")
    assert await line_of(first) == "up"

    async def has_a_process() -> bool:
        found = await rows.find(NAME)
        return found is not None and "pid" in found.facts

    await until(has_a_process)
    half_started = int((await row()).facts["pid"])
    first.kill()
    first.wait()
    await outlast_the_lease()
    stand_in.write_code(code, stand_in.SERVES)

    await kept(gateway("keep"))
    assert list(processes.started_with(f"--data={data_dir / 'workspaces' / NAME / 'data'}")) != [half_started]
    assert processes.identity(half_started) is None


async def test_a_gateway_that_is_told_to_end_takes_its_workspace_along(
    gateway: Callable[[str], Gateway], code: Path
) -> None:
    process = gateway("keep")
    await kept(process)
    instance = (await row()).instance
    process.terminate()

    assert await status_of(process) == 0
    assert not BACKEND.alive(instance)
    assert (await row()).state == State.STOPPED


async def test_a_gateway_that_is_told_to_end_leaves_it_to_one_that_stays(
    gateway: Callable[[str], Gateway], code: Path
) -> None:
    process = gateway("keep")
    url = await kept(process)
    async with gateway_keeper() as staying:
        process.terminate()

        assert await status_of(process) == 0
        found = await row()
        assert (found.holder, found.url) == (staying.lease.id, url)
        assert BACKEND.alive(found.instance)


@pytest.mark.parametrize("victim", ["sidecar", "server"])
async def test_killing_either_half_of_a_real_workspace_gets_a_new_one(
    victim: str, pro: Licence, lease: object, data_dir: Path
) -> None:
    first = await ensure_workspace(pro)
    instance = (await row()).instance
    sidecar = int(instance.facts["pid"])
    [server] = processes.started_with(f"--data={data_dir / 'workspaces' / NAME / 'data'}").keys() - {sidecar}
    os.kill(sidecar if victim == "sidecar" else server, signal.SIGKILL)

    async def both_ended() -> bool:
        return not BACKEND.alive(instance) and processes.identity(server) is None

    await until(both_ended)
    second = await ensure_workspace(pro)
    assert second.url != first.url
    assert await BACKEND.serves("demo-pro", (await row()).instance)


async def test_an_orphaned_server_is_found_by_its_folder_and_ended(code: Path, pro: Licence, lease: object) -> None:
    """Source: a gateway may be killed between starting a process and writing its number down."""
    await ensure_workspace(pro)
    pid = int((await row()).facts["pid"])
    async with db.connection() as conn:
        await conn.execute("DELETE FROM workspaces")
    await ensure_workspace(pro, fresh=True)

    assert processes.identity(pid) is None
    assert stand_in.starts(code) == ["demo-pro"] * 2
