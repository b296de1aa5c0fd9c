"""The process backend: what a child is given, how its failures are told, and what it never leaves behind."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings

from provisioning import tokens
from provisioning.backends import Instance, Spec
from provisioning.backends._process import processes
from provisioning.backends._process.folder import LOG_CAP_BYTES
from provisioning.backends.process import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests import stand_in
from provisioning.tests.notes import Notes
from provisioning.tests.test_names import HOSTILE

SPEC = Spec(name=workspace_name("demo-pro"), user_id="demo-pro", tier="pro", idle_s=60)


async def start(spec: Spec = SPEC) -> Instance:
    notes = Notes()
    return await BACKEND.start(spec, former=Instance(), report=notes.report, record=notes.record)


async def told(instance: Instance, user_id: str = "demo-pro") -> dict[str, Any]:
    """What the stand-in says it was given."""
    headers = {"Authorization": f"Bearer {tokens.workspace_token(user_id)}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer: dict[str, Any] = (await client.post(instance.url, headers=headers)).json()
    return answer


def folder_of(data_dir: Path, user_id: str = "demo-pro") -> Path:
    return data_dir / "workspaces" / workspace_name(user_id)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("DATABASE_URL", "SECRET_KEY", "OPENAI_API_KEY", "TELEGRAM_BOT_TOKEN", "WORKSPACE_SIGNING_KEY"):
        monkeypatch.setenv(name, "hush-hush")
    return "hush-hush"


async def test_a_workspace_knows_nothing_of_the_gateways_environment(code: Path, data_dir: Path, secrets: str) -> None:
    given = await told(await start())

    assert secrets not in str(given)
    assert set(given["environment"]) <= {
        *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "HOME")
    }


async def test_the_command_line_is_the_contracts(code: Path, data_dir: Path) -> None:
    given = await told(await start())

    folder = folder_of(data_dir)
    expected = {f"--data={folder / 'data'}", "--user=demo-pro", "--tier=pro", "--port=0", "--idle-seconds=60"}
    assert expected <= set(given["arguments"])
    assert f"--public-key={data_dir / tokens.PUBLIC_FILE}" in given["arguments"]
    assert {"--spawn", "--", "mcp_server", f"--owner-file={folder / 'owner'}"} <= set(given["arguments"])


async def test_a_workspace_has_a_session_of_its_own(code: Path) -> None:
    """Source: the demand that Ctrl-C in the gateway's terminal reaches no workspace."""
    instance = await start()

    assert os.getsid(int(instance.facts["pid"])) == instance.facts["pid"]


async def test_a_folder_is_its_users_alone(code: Path, data_dir: Path) -> None:
    await start()

    folder = folder_of(data_dir)
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.name in {"owner", "log"})


@pytest.mark.parametrize("user_id", [user for user in HOSTILE if user and "\x00" not in user and user.isprintable()])
async def test_a_hostile_user_id_is_a_hashed_folder_and_one_argument(user_id: str, code: Path, data_dir: Path) -> None:
    name = workspace_name(user_id)
    given = await told(await start(Spec(name=name, user_id=user_id, tier="pro", idle_s=0)), user_id)

    assert given["user"] == user_id
    assert [folder.name for folder in (data_dir / "workspaces").iterdir()] == [name]


@pytest.mark.parametrize(
    ("program", "cause", "detail", "output"),
    [
        (stand_in.EXITS, Cause.EXITED, "exit code 1", "the disk is full"),
        (stand_in.LACKS_A_MODULE, Cause.NOT_INSTALLED, "exit code 1", "No module named 'a_module_that_nobody"),
        (stand_in.NEVER_READY, Cause.NEVER_READY, "not ready within 1 s", "still thinking"),
        (stand_in.DEAF, Cause.NEVER_READY, "not ready within 1 s", ""),
        (stand_in.ANNOUNCES_NONSENSE, Cause.NEVER_READY, "unreadable announcement", ""),
        (stand_in.LOSES_ITS_LOG, Cause.EXITED, "exit code 3", ""),
    ],
    ids=["exits", "lacks a module", "never ready", "deaf", "announces nonsense", "loses its log"],
)
async def test_a_failed_start_tells_its_true_cause_and_leaves_nothing(
    program: str, cause: Cause, detail: str, output: str, code: Path, data_dir: Path, settings: Settings
) -> None:
    settings.WORKSPACE_START_TIMEOUT_S = 1
    stand_in.write_code(code, program)

    with pytest.raises(WorkspaceFailed) as failure:
        await start()

    assert (failure.value.cause, failure.value.detail) == (cause, detail)
    assert output in failure.value.output
    assert "secret-place" not in failure.value.message
    assert processes.started_with(f"--data={folder_of(data_dir) / 'data'}") == {}


async def test_a_folder_that_vanishes_during_a_start_is_told(code: Path, data_dir: Path) -> None:
    stand_in.write_code(code, stand_in.LOSES_ITS_FOLDER)
    with pytest.raises(WorkspaceFailed) as failure:
        await start()

    assert failure.value.cause == Cause.INTERNAL
    assert processes.started_with(f"--data={folder_of(data_dir) / 'data'}") == {}


async def test_without_the_code_the_installation_is_named(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BACKEND, "code_dir", code / "missing")

    with pytest.raises(WorkspaceFailed) as failure:
        await start()

    assert failure.value.cause == Cause.NOT_INSTALLED


async def test_a_data_folder_that_cannot_be_made_is_told(code: Path, data_dir: Path) -> None:
    (data_dir / "workspaces").write_text("a file is in the way")

    with pytest.raises(WorkspaceFailed) as failure:
        await start()

    assert failure.value.cause == Cause.INTERNAL


async def test_a_path_with_a_space_is_no_hindrance(code: Path, data_dir: Path, settings: Settings) -> None:
    settings.DATA_DIR = data_dir / "my data"

    assert (await told(await start()))["user"] == "demo-pro"
    await BACKEND.stop(SPEC.name)


async def test_one_that_ignores_the_request_to_end_is_killed(
    code: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.write_code(code, stand_in.IGNORES_SIGTERM)
    monkeypatch.setattr("provisioning.backends.process.GRACE_S", 0.2)
    instance = await start()
    await BACKEND.stop(SPEC.name)

    assert not BACKEND.alive(instance)


async def test_a_heartbeat_touches_the_owners_file(code: Path, data_dir: Path) -> None:
    await start()
    owner = folder_of(data_dir) / "owner"
    os.utime(owner, (0, 0))
    await BACKEND.heartbeat([SPEC.name])

    assert owner.stat().st_mtime > 0


async def test_a_long_log_is_cut_under_the_writer(code: Path, data_dir: Path) -> None:
    await start()
    log = folder_of(data_dir) / "log"
    with log.open("ab") as file:
        file.write(b"x" * LOG_CAP_BYTES)
    await BACKEND.heartbeat([SPEC.name])

    assert log.stat().st_size == 0
    assert log.with_name("log.1").stat().st_size > LOG_CAP_BYTES


async def test_who_wants_a_workspace_gives_it_the_idle_time_of_the_licence_as_it_is(code: Path, data_dir: Path) -> None:
    """Source: DESIGN, section 5: a licence without an idle stop that becomes one with it, while the workspace runs."""
    instance = await start(replace(SPEC, idle_s=0))
    file = folder_of(data_dir) / "idle-seconds"
    assert f"--idle-file={file}" in (await told(instance))["arguments"]
    assert file.read_text() == "0"

    assert await BACKEND.want(SPEC, instance)
    assert file.read_text() == "60"
    await BACKEND.stop(SPEC.name)
    assert not await BACKEND.want(replace(SPEC, idle_s=0), instance)
    assert file.read_text() == "60"
