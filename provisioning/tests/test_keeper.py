"""The keeper: DESIGN, section 7, on owners. Each keeper here stands for one gateway process."""

import asyncio
import os
import signal
from pathlib import Path
from typing import LiteralString

import pytest

from accounts.licences import Licence
from gateway import db
from gateway.ids import new_uuid
from gateway.leases import Lease
from provisioning import holding, keeper, launching, metrics, rows
from provisioning.backends import Spec
from provisioning.backends._process import processes
from provisioning.backends.process import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests import stand_in
from provisioning.tests.gateways import gateway_keeper, licence_of, until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool")]
NAME = workspace_name("demo-pro")
SPEC = Spec(name=NAME, user_id="demo-pro", tier="pro", idle_s=60)


async def row() -> rows.Row:
    found = await rows.find(NAME)
    assert found is not None
    return found


async def disown() -> None:
    """As a gateway leaves its workspace that was killed, once its lease has run out."""
    async with db.connection() as conn:
        await conn.execute("UPDATE workspaces SET holder = %s", (new_uuid(),))


async def alive() -> bool:
    return BACKEND.alive((await row()).instance)


async def test_a_gateway_that_stops_ends_what_it_started(code: Path, pro: Licence) -> None:
    async with gateway_keeper():
        await ensure_workspace(pro)
        instance = (await row()).instance

    assert not BACKEND.alive(instance)
    assert (await row()).state == State.STOPPED


async def test_the_last_gateway_that_stops_ends_what_a_killed_one_left(code: Path, pro: Licence) -> None:
    async with gateway_keeper():
        await ensure_workspace(pro)
        instance = (await row()).instance
        await disown()

    assert not BACKEND.alive(instance)
    assert (await row()).state == State.STOPPED


async def test_a_gateway_that_stops_during_a_start_ends_it(code: Path, pro: Licence) -> None:
    stand_in.write_code(code, stand_in.NEVER_READY)

    async def begun() -> bool:
        found = await rows.find(NAME)
        return found is not None and "pid" in found.facts

    async with gateway_keeper():
        starting = asyncio.create_task(ensure_workspace(pro))
        await until(begun)
        pid = int((await row()).facts["pid"])

    with pytest.raises(WorkspaceFailed) as failure:
        await starting
    assert failure.value.cause == Cause.SHUTTING_DOWN
    assert processes.identity(pid) is None
    assert (await row()).state == State.STOPPED


async def test_the_owners_heartbeat_reaches_the_sidecar(code: Path, pro: Licence, data_dir: Path) -> None:
    await _started_by_nobody(pro)
    owner = data_dir / "workspaces" / NAME / "owner"
    os.utime(owner, (0, 0))

    async def touched() -> bool:
        return owner.stat().st_mtime > 0

    async with gateway_keeper():
        await until(touched)


async def test_a_workspace_without_a_living_owner_is_adopted_and_goes_on(code: Path, pro: Licence) -> None:
    await _started_by_nobody(pro)
    await disown()
    pid = (await row()).facts["pid"]

    async with gateway_keeper() as services:

        async def adopted() -> bool:
            return (await row()).holder == services.lease.id

        await until(adopted)
        assert (await row()).facts["pid"] == pid
        assert stand_in.starts(code) == ["demo-pro"]


async def test_a_call_adopts_a_running_workspace_too(code: Path, pro: Licence, lease: object) -> None:
    first = await ensure_workspace(pro)
    await disown()
    launching.forget_all()

    assert (await ensure_workspace(pro)).url == first.url
    assert (await row()).holder == holding.process_holder()


async def test_an_adopted_workspace_must_serve_its_user(code: Path, pro: Licence, lease: object) -> None:
    """Source: another server may listen on the port by now."""
    await ensure_workspace(pro)
    await disown()
    launching.forget_all()
    async with db.connection() as conn:
        await conn.execute("UPDATE workspaces SET url = 'http://127.0.0.1:1/mcp'")

    assert (await ensure_workspace(pro)).url != "http://127.0.0.1:1/mcp"
    assert stand_in.starts(code) == ["demo-pro"] * 2


async def test_one_that_died_with_its_owner_is_tidied_up(code: Path, pro: Licence) -> None:
    await _started_by_nobody(pro)
    await disown()
    os.kill(int((await row()).facts["pid"]), signal.SIGKILL)

    async def tidy() -> bool:
        return (await row()).state == State.STOPPED

    async with gateway_keeper():
        await until(tidy)
    assert (await row()).facts == {}


@pytest.mark.parametrize("state", [State.STARTING, State.STOPPING])
async def test_work_that_a_dead_gateway_left_half_done_is_ended(state: State, code: Path, pro: Licence) -> None:
    await _started_by_nobody(pro)
    await disown()
    instance = (await row()).instance
    async with db.connection() as conn:
        await conn.execute("UPDATE workspaces SET state = %s", (state,))

    async def ended() -> bool:
        return (await row()).state == State.STOPPED

    async with gateway_keeper():
        await until(ended)
    assert not BACKEND.alive(instance)


async def test_a_start_that_ended_well_since_the_keeper_looked_is_left_alone(
    code: Path, pro: Licence, lease: Lease
) -> None:
    """Source: what the keeper read may be older than what it acts on."""
    claim = await rows.claim_start(SPEC, backend=BACKEND.name, holder=lease.id, seen=None)
    assert claim is not None
    seen = await row()
    await rows.settle_ready(claim, owner=lease.id, stage_ms={})
    async with launching.ending(NAME, seen=seen) as stop:
        assert stop is None

    assert (await row()).state == State.READY


async def test_a_workspace_that_was_handed_over_since_is_left_alone(code: Path, pro: Licence, lease: Lease) -> None:
    await ensure_workspace(pro)
    seen = await row()
    await rows.hand_over(lease.id, backend=BACKEND.name)

    assert await rows.claim_stop(NAME, holder=lease.id, seen=seen) is None


async def test_an_idle_stop_is_noted(code: Path, pro: Licence) -> None:
    async with gateway_keeper() as services:
        await ensure_workspace(pro)
        os.kill(int((await row()).facts["pid"]), signal.SIGTERM)

        async def noted() -> bool:
            services.wakeups.wake_all()
            return (await row()).state == State.STOPPED

        await until(noted)
        assert metrics.WORKSPACES.labels("stopped")._value.get() == 1


async def test_of_two_gateways_the_one_that_stays_takes_over(code: Path, pro: Licence) -> None:
    async with gateway_keeper() as staying:
        async with gateway_keeper() as leaving:
            await ensure_workspace(pro)
            assert (await row()).holder == leaving.lease.id
            holding.hold_with(staying.lease)

        assert (await row()).holder == staying.lease.id
        assert await alive()
        assert stand_in.starts(code) == ["demo-pro"]
    assert (await row()).state == State.STOPPED


async def test_a_living_lease_that_adopts_nothing_saves_no_workspace(code: Path, pro: Licence, lease: object) -> None:
    """Source: the other process may be a command, or a gateway that stops as well."""
    async with gateway_keeper():
        await ensure_workspace(pro)
        instance = (await row()).instance

    assert not BACKEND.alive(instance)


async def test_a_lost_lease_ends_no_workspace_and_the_next_one_keeps_it(code: Path, pro: Licence) -> None:
    """Source: a laptop that slept through its lease."""
    async with gateway_keeper() as services:
        await ensure_workspace(pro)
        services.lease.lost.set()
    assert await alive()

    async with gateway_keeper() as again:

        async def adopted() -> bool:
            return (await row()).holder == again.lease.id

        await until(adopted)
        await ensure_workspace(pro)
    assert stand_in.starts(code) == ["demo-pro"]
    assert not await alive()


async def test_a_folder_that_cannot_be_tended_hinders_no_other(
    code: Path, pro: Licence, data_dir: Path, lease: object
) -> None:
    await ensure_workspace(pro)
    owner = data_dir / "workspaces" / NAME / "owner"
    os.utime(owner, (0, 0))
    (data_dir / "workspaces" / "ws-file").write_text("no folder")
    await BACKEND.heartbeat(["ws-gone", "ws-file", NAME])

    assert owner.stat().st_mtime > 0


async def test_a_process_without_a_lease_leaves_its_workspace_to_a_gateway(code: Path, pro: Licence) -> None:
    async with gateway_keeper() as services:
        holding.hold_with(None)
        await ensure_workspace(pro)

        async def adopted() -> bool:
            # This one event loop stands for two processes, and the keeper lets go of what its own is busy with.
            services.wakeups.wake_all()
            return (await row()).holder == services.lease.id

        await until(adopted)
        holding.hold_with(services.lease)


@pytest.mark.parametrize(
    ("change", "idle"),
    [
        ("UPDATE user_licenses SET expires_at = clock_timestamp() - interval '1 minute'", "900"),
        ("DELETE FROM user_licenses", "900"),
        ("""UPDATE user_licenses SET resource_limits = '{"idle_s": 60}'""", "60"),
        ("UPDATE user_licenses SET license_type = 'enterprise'", "0"),
    ],
)
async def test_a_workspace_goes_by_the_licence_as_it_is_though_its_user_stays_away(
    change: LiteralString, idle: str, code: Path, pro: Licence, lease: Lease, users: object, data_dir: Path
) -> None:
    """Source: DESIGN, section 7, on ended licences: the workspace stops at idle, also one that was never to stop."""
    await ensure_workspace(licence_of("demo-pro", idle_s=0))
    async with db.connection() as conn:
        await conn.execute(change)
    await keeper.heed_licences(lease.id)

    assert (data_dir / "workspaces" / NAME / "idle-seconds").read_text() == idle


async def _started_by_nobody(licence: Licence) -> None:
    await ensure_workspace(licence)
    assert (await row()).holder is None
