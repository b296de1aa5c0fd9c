"""The use cases, on real processes and a real PostgreSQL: DESIGN, section 7."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from gateway import db
from gateway.leases import Lease
from provisioning import launching, rows
from provisioning.backends._process import processes
from provisioning.backends.process import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.stages import StageReport
from provisioning.tests import stand_in
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import delete_workspace, ensure_workspace, stop_workspace, workspace_status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]


class Stages:
    """What a waiter was told."""

    def __init__(self) -> None:
        self.told: list[StageReport] = []

    async def __call__(self, report: StageReport) -> None:
        self.told.append(report)

    @property
    def names(self) -> list[str]:
        return [report.stage for report in self.told]


async def row_of(user_id: str = "demo-pro") -> rows.Row:
    row = await rows.find(workspace_name(user_id))
    assert row is not None
    return row


async def pid_of(user_id: str = "demo-pro") -> int:
    return int((await row_of(user_id)).facts["pid"])


async def test_a_first_call_starts_the_workspace_and_tells_its_stages_in_words(code: Path, pro: Licence) -> None:
    stages = Stages()
    endpoint = await ensure_workspace(pro, on_stage=stages)

    assert endpoint.user_id == "demo-pro"
    assert endpoint.url.startswith("http://127.0.0.1:")
    assert endpoint.token().count(".") == 2
    assert stages.names == ["queued", "starting", "ready"]
    assert stages.told[1].detail == "Starting your workspace…"


async def test_a_running_workspace_is_found_again_within_a_millisecond(code: Path, pro: Licence) -> None:
    """Source: the target for the path that every turn takes. The bound is loose, for a busy machine."""
    first, stages = await ensure_workspace(pro), Stages()
    began = time.perf_counter()
    for _ in range(100):
        assert (await ensure_workspace(pro)).url == first.url
    each_s = (time.perf_counter() - began) / 100

    assert (await ensure_workspace(pro, on_stage=stages)).url == first.url
    assert stages.names == ["ready"]
    assert stand_in.starts(code) == ["demo-pro"]
    assert each_s < 0.005


async def test_fifty_callers_at_once_start_one_server_and_all_hear_of_it(code: Path, pro: Licence) -> None:
    heard = [Stages() for _ in range(50)]
    endpoints = await asyncio.gather(*(ensure_workspace(pro, on_stage=stages) for stages in heard))

    assert stand_in.starts(code) == ["demo-pro"]
    assert len({endpoint.url for endpoint in endpoints}) == 1
    assert {tuple(stages.names) for stages in heard} == {("queued", "starting", "ready")}


async def test_users_have_a_workspace_each(code: Path) -> None:
    names = ["demo-free", "demo-pro", "demo-enterprise"]
    endpoints = await asyncio.gather(*(ensure_workspace(licence_of(name)) for name in names))

    assert len({endpoint.url for endpoint in endpoints}) == 3
    assert sorted(stand_in.starts(code)) == sorted(names)


async def test_the_row_says_what_runs_and_how_long_the_start_took(code: Path, pro: Licence, lease: Lease) -> None:
    await ensure_workspace(pro)

    row = await row_of()
    assert (row.state, row.holder, row.held) == (State.READY, lease.id, True)
    async with db.connection() as conn:
        found = await (await conn.execute("SELECT stage_ms FROM workspaces")).fetchone()
    assert found is not None
    assert set(found[0]) == {"queued", "starting"}


async def test_a_killed_server_is_noticed_and_replaced_by_the_next_call(code: Path, pro: Licence) -> None:
    first = await ensure_workspace(pro)
    os.kill(await pid_of(), signal.SIGKILL)
    await until(lambda: _ended(first.url))
    second = await ensure_workspace(pro)

    assert second.url != first.url
    assert stand_in.starts(code) == ["demo-pro"] * 2


async def _ended(url: str) -> bool:
    return not BACKEND.alive((await row_of()).instance)


async def test_a_workspace_that_hangs_is_replaced_when_its_caller_asks_for_a_fresh_one(
    code: Path, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends.process.ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr("provisioning.backends.process.GRACE_S", 0.3)
    first = await ensure_workspace(pro)
    os.kill(await pid_of(), signal.SIGSTOP)

    assert (await ensure_workspace(pro)).url == first.url
    endpoints = await asyncio.gather(*(ensure_workspace(pro, fresh=True) for _ in range(5)))
    assert {endpoint.url for endpoint in endpoints} != {first.url}
    assert stand_in.starts(code) == ["demo-pro"] * 2


async def test_a_fresh_answer_from_a_healthy_workspace_starts_nothing(code: Path, pro: Licence) -> None:
    first = await ensure_workspace(pro)

    assert (await ensure_workspace(pro, fresh=True)).url == first.url
    assert stand_in.starts(code) == ["demo-pro"]


async def test_a_failed_start_is_told_in_words_and_kept_for_the_operator(code: Path, pro: Licence) -> None:
    stand_in.write_code(code, stand_in.EXITS)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.message == str(failure.value)
    status = await workspace_status("demo-pro")
    assert (status.state, status.last_cause) == (State.FAILED, Cause.EXITED)
    assert status.detail == failure.value.message
    async with db.connection() as conn:
        found = await (await conn.execute("SELECT last_detail, holder, facts FROM workspaces")).fetchone()
    assert found == ("exit code 1", None, {})


async def test_a_database_that_fails_is_told_in_words(code: Path, pro: Licence) -> None:
    async with _without_the_table():
        with pytest.raises(WorkspaceFailed) as failure:
            await ensure_workspace(pro)

    assert failure.value.cause == Cause.DATABASE


async def test_a_database_that_fails_during_a_start_leaves_nothing_running(
    code: Path, pro: Licence, data_dir: Path
) -> None:
    async with AsyncExitStack() as until_the_end:

        async def on_stage(report: StageReport) -> None:
            if report.stage == "starting":
                await until_the_end.enter_async_context(_without_the_table())

        with pytest.raises(WorkspaceFailed) as failure:
            await ensure_workspace(pro, on_stage=on_stage)

    assert failure.value.cause == Cause.DATABASE
    assert processes.started_with(f"--data={data_dir / 'workspaces' / workspace_name('demo-pro') / 'data'}") == {}


@asynccontextmanager
async def _without_the_table() -> AsyncIterator[None]:
    async with db.connection() as conn:
        await conn.execute("ALTER TABLE workspaces RENAME TO workspaces_elsewhere")
    try:
        yield
    finally:
        async with db.connection() as conn:
            await conn.execute("ALTER TABLE workspaces_elsewhere RENAME TO workspaces")


async def test_without_a_signing_key_no_workspace_starts_and_the_user_is_told(
    code: Path, pro: Licence, settings: Settings
) -> None:
    settings.DEBUG = False
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NOT_INSTALLED
    assert "WORKSPACE_SIGNING_KEY" in failure.value.detail


async def test_the_call_after_a_failure_tries_again(code: Path, pro: Licence) -> None:
    stand_in.write_code(code, stand_in.EXITS)
    with pytest.raises(WorkspaceFailed):
        await ensure_workspace(pro)
    stand_in.write_code(code, stand_in.SERVES)

    await ensure_workspace(pro)
    assert (await workspace_status("demo-pro")).last_cause == ""


async def test_a_stopped_workspace_runs_no_more_and_starts_again_when_needed(code: Path, pro: Licence) -> None:
    await ensure_workspace(pro)
    pid = await pid_of()
    await stop_workspace("demo-pro")

    assert (await workspace_status("demo-pro")).state == State.STOPPED
    assert processes.identity(pid) is None
    await ensure_workspace(pro)
    assert stand_in.starts(code) == ["demo-pro"] * 2


async def test_a_stop_during_a_start_ends_it_and_says_so(code: Path, pro: Licence) -> None:
    stand_in.write_code(code, stand_in.NEVER_READY)
    starting = asyncio.create_task(ensure_workspace(pro))
    await until(_has_a_process)
    pid = await pid_of()
    await stop_workspace("demo-pro")

    with pytest.raises(WorkspaceFailed) as failure:
        await starting
    assert failure.value.cause == Cause.STOPPED
    assert (await workspace_status("demo-pro")).state == State.STOPPED
    assert processes.identity(pid) is None


async def _has_a_process() -> bool:
    row = await rows.find(workspace_name("demo-pro"))
    return row is not None and "pid" in row.facts


async def test_stopping_what_does_not_run_is_no_error(code: Path) -> None:
    await stop_workspace("stranger")

    assert (await workspace_status("stranger")).state == State.STOPPED


async def test_deleting_keeps_the_data_unless_told_otherwise(code: Path, pro: Licence, data_dir: Path) -> None:
    folder = data_dir / "workspaces" / workspace_name("demo-pro")
    await ensure_workspace(pro)

    assert await delete_workspace("demo-pro", with_data=False)
    assert await rows.find(workspace_name("demo-pro")) is None
    assert folder.is_dir()
    assert await delete_workspace("demo-pro", with_data=True)
    assert not folder.exists()
    assert not await delete_workspace("demo-pro", with_data=True)


async def test_a_workspace_that_went_idle_is_shown_as_asleep_at_once(code: Path, pro: Licence) -> None:
    await ensure_workspace(pro)
    os.kill(await pid_of(), signal.SIGTERM)
    await until(lambda: _ended(""))

    status = await workspace_status("demo-pro")
    assert (status.state, status.detail) == (State.STOPPED, "Your workspace is asleep. It starts when you need it.")


@pytest.mark.parametrize("user_id", ["", "  ", "a\x00b", "\ud800"])
async def test_a_user_id_that_no_column_can_hold_is_refused(user_id: str, code: Path, data_dir: Path) -> None:
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(licence_of(user_id))

    assert failure.value.cause == Cause.INVALID_USER
    assert not (data_dir / "workspaces").exists()


@pytest.mark.parametrize("user_id", ["../../etc", "użytkownik 💥", "x" * 10_000, "--help", "'; DROP TABLE workspaces"])
async def test_a_hostile_user_id_gets_a_workspace_under_its_hash(user_id: str, code: Path, data_dir: Path) -> None:
    await ensure_workspace(licence_of(user_id))

    assert [folder.name for folder in (data_dir / "workspaces").iterdir()] == [workspace_name(user_id)]
    assert (await row_of(user_id)).user_id == user_id


async def test_a_server_that_staff_has_set_replaces_the_workspace(code: Path, settings: Settings) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = ["https://tools.example.com/"]
    stages = Stages()
    endpoint = await ensure_workspace(
        licence_of("demo-pro", mcp_server_url="https://tools.example.com/mcp"), on_stage=stages
    )

    assert endpoint.url == "https://tools.example.com/mcp"
    assert stages.names == ["ready"]
    assert stand_in.starts(code) == []


async def test_a_server_that_is_not_allowed_gets_no_token(code: Path, settings: Settings) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = []

    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(licence_of("demo-pro", mcp_server_url="https://tools.example.com/mcp"))
    assert failure.value.cause == Cause.NOT_ALLOWED


@pytest.mark.parametrize("limit", [900, 0])
async def test_a_workspace_stops_after_the_licences_idle_time(limit: int, code: Path) -> None:
    await ensure_workspace(licence_of("demo-pro", idle_s=limit))

    assert await pid_of() in processes.started_with(f"--idle-seconds={limit}")


async def test_the_memory_of_an_ended_workspace_is_let_go(code: Path, pro: Licence) -> None:
    first = await ensure_workspace(pro)
    os.kill(await pid_of(), signal.SIGKILL)
    await until(lambda: _ended(first.url))
    launching.forget_ended()

    assert (await ensure_workspace(pro)).url != first.url
