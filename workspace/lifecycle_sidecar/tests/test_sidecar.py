"""The process: a real sidecar over real children, with a scripted `/activity`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lifecycle_sidecar.options import parse_options
from lifecycle_sidecar.tests.peers import NAME, QUIET, Cluster, Fault, activity, cluster, hang, refusing, until

WORKSPACE = Path(__file__).parents[2]
WAIT_S = 30

# Say that it runs, then wait to be ended.
WAITS = "import signal; print('ready', flush=True); signal.pause()"
NOBODY = "http://127.0.0.1:9/activity"


@contextmanager
def sidecar(*options: object, child: str = WAITS) -> Iterator[subprocess.Popen[str]]:
    """A sidecar that looks every 50 ms over a child that runs this Python; ready when the child is."""
    command = [sys.executable, "-m", "lifecycle_sidecar", "--poll-seconds", "0.05", *map(str, options)]
    process = subprocess.Popen(
        [*command, "--spawn", "--", sys.executable, "-c", child],
        cwd=WORKSPACE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and log, after the end of the sidecar and of all that holds its output."""
    said, log = process.communicate(timeout=WAIT_S)
    assert said == ""
    return process.returncode, log


def test_an_idle_workspace_is_ended() -> None:
    with activity(lambda _: QUIET) as url, sidecar("--activity-url", url, "--idle-seconds", 0.2) as process:
        status, log = ended(process)

    assert status == 0
    assert "nobody used it" in log


def test_an_idle_time_that_is_lowered_while_it_runs_ends_it(tmp_path: Path) -> None:
    """Source: a licence that gets smaller, or ends, under a workspace that was never to stop."""
    idle, looks = tmp_path / "idle-seconds", []

    def say(number: int) -> dict[str, float]:
        looks.append(number)
        if number == 30:
            idle.write_text("0.1")
        return QUIET

    idle.write_text("0")
    options = ("--idle-seconds", 0, "--idle-file", idle)
    with activity(say) as url, sidecar("--activity-url", url, *options) as process:
        status, log = ended(process)

    assert status == 0
    assert "nobody used it" in log
    assert looks[-1] >= 30


def test_work_in_flight_keeps_it_until_it_is_done() -> None:
    seen: list[int] = []

    def answer(number: int) -> dict[str, float]:
        seen.append(number)
        return {**QUIET, "in_flight": 1 if number <= 30 else 0}

    with activity(answer) as url, sidecar("--activity-url", url, "--idle-seconds", 0.1) as process:
        assert ended(process)[0] == 0

    assert seen[-1] > 30


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"in_flight": "x", "last_useful": 1},
        {"in_flight": 0},
        {**QUIET, "running": 3},
        {**QUIET, "running": {"backtests": None}},
        {**QUIET, "kept": "x"},
        None,
    ],
)
def test_an_unreachable_or_strange_activity_never_stops_it(said: object) -> None:
    """The child ends by itself after a second: the sidecar gives its status, so it had not stopped it before."""
    child = "import sys, time; print('ready', flush=True); time.sleep(1); sys.exit(5)"
    with (
        activity(lambda _: said) as url,
        sidecar("--activity-url", url if said is not None else NOBODY, "--idle-seconds", 0.1, child=child) as process,
    ):
        assert ended(process)[0] == 5


def test_the_workspace_ends_when_its_owner_is_gone(tmp_path: Path) -> None:
    owner = tmp_path / "owner"
    owner.touch()
    options = ("--activity-url", NOBODY, "--idle-seconds", 0, "--owner-file", owner, "--owner-timeout-seconds", 0.3)

    with sidecar(*options) as process:
        status, log = ended(process)

    assert status == 0
    assert "its owner is gone" in log


def test_whoever_touches_the_owner_file_adopts_the_workspace(tmp_path: Path) -> None:
    """The heartbeat goes on for 40 looks, four times the owner's timeout, and then falls silent."""
    owner = tmp_path / "owner"
    looks: list[int] = []

    def beat(number: int) -> dict[str, float]:
        looks.append(number)
        if number <= 40:
            os.utime(owner, ns=(number, number))
        return QUIET

    owner.touch()
    with (
        activity(beat) as url,
        sidecar(
            "--activity-url", url, "--idle-seconds", 0, "--owner-file", owner, "--owner-timeout-seconds", 0.5
        ) as process,
    ):
        assert ended(process)[0] == 0

    assert looks[-1] > 40


@pytest.mark.parametrize(("end", "status"), [("sys.exit(7)", 7), ("sys.exit(0)", 0), ("os.kill(os.getpid(), 9)", 137)])
def test_a_server_that_ends_by_itself_gives_its_status(end: str, status: int) -> None:
    child = f"import os, sys; print('ready', flush=True); {end}"

    with sidecar("--activity-url", NOBODY, "--idle-seconds", 0, child=child) as process:
        assert ended(process)[0] == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    done = tmp_path / "done"
    child = (
        "import pathlib, signal, sys\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(done)!r}).touch(), sys.exit(0)))\n{WAITS}"
    )

    with sidecar("--activity-url", NOBODY, "--idle-seconds", 0, "--poll-seconds", 60, child=child) as process:
        process.send_signal(number)
        assert ended(process)[0] == 0

    assert done.exists()


def test_a_server_that_ignores_sigterm_is_killed_with_its_children() -> None:
    """`ended` waits until nobody holds the output any more, and the grandchild holds it."""
    child = (
        "import signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n{WAITS}"
    )

    with sidecar("--activity-url", NOBODY, "--idle-seconds", 0, "--grace-seconds", 0.2, child=child) as process:
        process.terminate()
        assert ended(process)[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_sidecar_takes_the_server_with_it() -> None:
    with sidecar("--activity-url", NOBODY, "--idle-seconds", 0) as process:
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL


def test_the_sidecar_has_a_session_of_its_own() -> None:
    """Ctrl-C in the owner's terminal goes to the terminal's session."""
    with sidecar("--activity-url", NOBODY, "--idle-seconds", 0) as process:
        assert os.getsid(process.pid) == process.pid


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_sidecar_stays_under_40_megabytes() -> None:
    with activity(lambda _: QUIET) as url, sidecar("--activity-url", url, "--idle-seconds", 0) as process:
        status = Path(f"/proc/{process.pid}/status").read_text()

    (peak_kb,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak_kb < 40 * 1024


def test_the_activity_port_is_learnt_from_the_servers_ready_file(tmp_path: Path) -> None:
    """A file that another process left behind doesn't count: its port may be anybody's by now."""
    ready = tmp_path / "ready.json"
    with activity(lambda _: QUIET) as url:
        port = int(url.split(":")[2].split("/")[0])
        ready.write_text(json.dumps({"pid": 1, "port": 1, "activity_port": port}))
        write = f"json.dump({{'pid': os.getpid(), 'port': 1, 'activity_port': {port}}}, open({str(ready)!r}, 'w'))"
        for child, status in (
            (f"import json, os\n{write}\n{WAITS}", 0),
            (WAITS.replace("pause", "alarm(1), signal.pause"), 142),
        ):
            with sidecar("--activity-file", ready, "--idle-seconds", 0.2, child=child) as process:
                assert ended(process)[0] == status


@contextmanager
def attendant(api: Cluster, url: str, *options: object) -> Iterator[subprocess.Popen[str]]:
    """A sidecar as a pod has it, which looks every 50 ms."""
    command = [sys.executable, "-m", "lifecycle_sidecar", "--poll-seconds", "0.05", "--deployment", NAME]
    process = subprocess.Popen(
        [*command, "--credentials", api.folder, "--activity-url", url, *map(str, options)],
        cwd=WORKSPACE,
        env={**os.environ, **api.environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_sidecar_in_a_pod_scales_its_deployment_to_zero_and_waits_for_its_end(tmp_path: Path) -> None:
    """Source: a container that exits is only restarted: the kubelet ends it once the Deployment is at 0."""
    with (
        cluster(tmp_path) as api,
        activity(lambda _: QUIET) as url,
        attendant(api, url, "--idle-seconds", 0.2) as process,
    ):
        until(lambda: api.replicas == 0)
        process.terminate()
        _, log = process.communicate(timeout=WAIT_S)

    assert process.returncode == 0
    assert "nobody used it" in log
    assert api.token not in log


@pytest.mark.parametrize("fault", [refusing(403), hang], ids=["refuses", "hangs"])
def test_a_signal_ends_a_sidecar_whose_api_server_fails(tmp_path: Path, fault: Fault) -> None:
    with (
        cluster(tmp_path) as api,
        activity(lambda _: QUIET) as url,
        attendant(api, url, "--idle-seconds", 0.2) as process,
    ):
        api.faults = [fault] * 1000
        until(lambda: "GET" in api.log)
        process.terminate()
        assert process.wait(timeout=WAIT_S) == 0

    assert api.replicas == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_sidecar_in_a_pod_stays_under_40_megabytes(tmp_path: Path) -> None:
    with (
        cluster(tmp_path) as api,
        activity(lambda _: QUIET) as url,
        attendant(api, url, "--idle-seconds", 0.2) as process,
    ):
        until(lambda: api.replicas == 0)
        status = Path(f"/proc/{process.pid}/status").read_text()

    (peak_kb,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak_kb < 40 * 1024


def test_a_sidecar_outside_of_a_pod_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lifecycle_sidecar", "--activity-url", NOBODY, "--idle-seconds", "1"]

    ended = subprocess.run(
        [*command, "--deployment", NAME, "--credentials", tmp_path],
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "this is no pod" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_command_that_can_not_be_run_is_told() -> None:
    options = ["--activity-url", NOBODY, "--idle-seconds", "0", "--spawn", "--", "/no/such/server"]

    result = subprocess.run(
        [sys.executable, "-m", "lifecycle_sidecar", *options],
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 127
    assert "can't run /no/such/server: No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_options_come_from_the_command_line_or_the_environment() -> None:
    given = [
        "--activity-url",
        NOBODY,
        "--idle-seconds",
        "60",
        "--owner-file",
        "o",
        "--spawn",
        "--",
        "server",
        "--port",
        "1",
    ]
    environ = {"WORKSPACE_ACTIVITY_URL": NOBODY, "WORKSPACE_IDLE_SECONDS": "60", "WORKSPACE_OWNER_FILE": "o"}

    options = parse_options(given, {})

    assert options == parse_options(["--spawn", "--", "server", "--port", "1"], environ)
    assert options.command == ("server", "--port", "1")
    assert options.owner_timeout_seconds == 30


def test_the_options_of_a_pod_come_from_its_environment() -> None:
    environ = {"WORKSPACE_ACTIVITY_URL": NOBODY, "WORKSPACE_IDLE_SECONDS": "900"}
    environ |= {"WORKSPACE_NAMESPACE": "users", "WORKSPACE_DEPLOYMENT": NAME}

    options = parse_options([], environ)

    assert (options.namespace, options.deployment, options.command) == ("users", NAME, ())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--activity-url", NOBODY, "--idle-seconds", "1"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--spawn"],
        ["--idle-seconds", "1", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--activity-file", "f", "--idle-seconds", "1", "--spawn", "--", "server"],
        ["--activity-url", "file:///etc/passwd", "--idle-seconds", "1", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "-1", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "nan", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--poll-seconds", "0", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--deployment", "d", "--spawn", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--deployment", "d", "--", "server"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--deployment", "d", "--owner-file", "o"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--deployment", "../secrets/d"],
        ["--activity-url", NOBODY, "--idle-seconds", "1", "--deployment", "d", "--namespace", "N"],
        ["--activity-file", "f", "--idle-seconds", "1", "--deployment", "d"],
        ["--idle-seconds", "1", "--deployment", "d"],
    ],
)
def test_wrong_options_end_with_a_hint(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments, {})

    assert caught.value.code == 2
