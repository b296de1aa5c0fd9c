"""`manage.py workspace …`: DESIGN, section 10."""

import json
import os
import signal
from contextlib import nullcontext
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from provisioning.backends._process import processes
from provisioning.models import Workspace
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
    assert answer("delete", "--with-data", "--yes", "demo-pro") == {
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


def test_a_users_objects_are_printed_as_yaml_and_as_json_under_any_provisioner(users: dict[str, str]) -> None:
    rendered = answer("render", "demo-pro")

    assert [each["kind"] for each in rendered] == ["ServiceAccount", "PersistentVolumeClaim", "Deployment", "Service"]
    assert {each["metadata"]["name"] for each in rendered} == {NAME}
    assert list(yaml.safe_load_all(run("render", "demo-pro")[0])) == rendered


def test_what_stands_once_is_printed_without_a_user() -> None:
    kinds = {each["kind"] for each in yaml.safe_load_all(run("render", "--namespace")[0])}

    assert {"Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "Role", "RoleBinding"} <= kinds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render"], "Give USER, or --namespace"),
        (["render", "--namespace", "demo-pro"], "Give USER, or --namespace"),
        (["render", "--volume"], "Give USER, or --namespace"),
        (["render", "demo-pro", "--from-snapshot", "monday"], "go with --volume"),
        (["render", "demo-pro", "--storage", "20Gi"], "go with --volume"),
        (["render", "demo-pro", "--volume", "--storage", "much"], "invalid size value: 'much'"),
    ],
)
def test_render_wants_a_user_or_the_namespace_and_no_more_than_goes_with_it(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)


@pytest.mark.parametrize(("typed", "kept"), [("demo-pro", False), ("yes", True), ("", True)])
def test_data_are_deleted_only_once_the_user_id_was_typed(
    typed: str, kept: bool, code: Path, users: dict[str, str], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("start", "demo-pro")
    run("stop", "demo-pro")
    monkeypatch.setattr("builtins.input", lambda _: typed)
    with nullcontext() if not kept else pytest.raises(CommandError, match="Nothing was deleted"):
        run("delete", "--with-data", "demo-pro")

    assert (data_dir / "workspaces" / NAME).exists() is kept


def test_a_workspace_that_a_dead_gateway_left_is_reconciled(code: Path, users: dict[str, str]) -> None:
    run("start", "demo-pro")
    os.kill(pid(), signal.SIGKILL)
    output = StringIO()
    call_command("reconcile_workspaces", "--dry-run", "--json", stdout=output, stderr=StringIO())
    [finding] = json.loads(output.getvalue())

    assert finding["found"] == "ready in the table, and does not run"
    assert Workspace.objects.get(name=NAME).state == "ready"
    call_command("reconcile_workspaces", stdout=StringIO(), stderr=StringIO())
    assert Workspace.objects.get(name=NAME).state == "stopped"
    output = StringIO()
    call_command("reconcile_workspaces", stdout=output, stderr=StringIO())
    assert output.getvalue() == "All is as it should be.\n"


def pid() -> int:
    """The sidecar's, once it is no more than this test's child."""
    found: int = Workspace.objects.get(name=NAME).facts["pid"]
    return found


def test_an_action_is_required() -> None:
    with pytest.raises(CommandError, match="ACTION"):
        run()
