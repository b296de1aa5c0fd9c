"""`manage.py workspace …`: DESIGN, section 10."""

import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from provisioning.backends._process import processes
from provisioning.names import workspace_name
from provisioning.tests import stand_in

pytestmark = pytest.mark.django_db(transaction=True)
NAME = workspace_name("demo-pro")


def run(*arguments: str) -> tuple[str, str]:
    """What the command prints on standard output and standard error."""
    output, errors = StringIO(), StringIO()
    call_command("workspace", *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json")[0])


def test_a_start_prints_its_stages_aside_and_its_result_as_json(code: Path, users: dict[str, str]) -> None:
    output, errors = run("start", "demo-pro", "--json")

    started = json.loads(output)
    assert (started["name"], started["state"]) == (NAME, "ready")
    assert started["url"].startswith("http://127.0.0.1:")
    assert errors.splitlines()[1:3] == ["Starting your workspace…", "Your workspace is ready."]
    assert "No gateway is running" in errors


def test_a_second_start_finds_it_running(code: Path, users: dict[str, str]) -> None:
    first = answer("start", "demo-pro")

    assert answer("start", "demo-pro")["url"] == first["url"]
    assert stand_in.starts(code) == ["demo-pro"]


def test_status_list_stop_and_delete_tell_the_state(code: Path, users: dict[str, str], data_dir: Path) -> None:
    run("start", "demo-pro")

    assert answer("status", "demo-pro")["state"] == "ready"
    [listed] = answer("list")
    assert listed["user_id"] == "demo-pro"
    assert datetime.fromisoformat(listed["since"]).tzinfo is not None
    assert answer("stop", "demo-pro")["state"] == "stopped"
    assert processes.started_with(f"--data={data_dir / 'workspaces' / NAME / 'data'}") == {}
    assert answer("delete", "--with-data", "demo-pro") == {
        "user_id": "demo-pro",
        "name": NAME,
        "state": "deleted",
        "with_data": True,
    }
    assert answer("list") == []
    assert answer("delete", "demo-pro")["state"] == "nothing to delete"


def test_people_get_a_line(code: Path, users: dict[str, str]) -> None:
    assert run("status", "stranger")[0] == (
        f"{workspace_name('stranger')}  stopped  stranger  Your workspace is asleep. It starts when you need it.\n"
    )


@pytest.mark.parametrize("user", ["demo-expired", "stranger"])
def test_without_a_licence_nothing_starts(user: str, code: Path, users: dict[str, str]) -> None:
    with pytest.raises(CommandError, match="licence"):
        run("start", user)

    assert stand_in.starts(code) == []


def test_a_failed_start_fails_the_command_with_the_users_sentence(code: Path, users: dict[str, str]) -> None:
    stand_in.write_code(code, stand_in.EXITS)

    with pytest.raises(CommandError, match=r"demo-pro: Your workspace stopped while it was starting\."):
        run("start", "demo-pro")


def test_render_says_that_this_provisioner_has_nothing_to_render(code: Path) -> None:
    with pytest.raises(CommandError, match="not available with this provisioner yet"):
        run("render", "demo-pro")


def test_an_action_is_required() -> None:
    with pytest.raises(CommandError, match="ACTION"):
        run()
