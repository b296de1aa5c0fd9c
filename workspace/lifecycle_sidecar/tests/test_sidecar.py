"""The process: a real sidecar over real children, with a scripted `/activity`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lifecycle_sidecar.options import parse_options

WORKSPACE = Path(__file__).parents[2]
WAIT_S = 30

# Say that it runs, then wait to be ended.
WAITS = "import signal; print('ready', flush=True); signal.pause()"
QUIET = {"in_flight": 0, "last_useful": 1000.0, "started": 900.0}
NOBODY = "http://127.0.0.1:9/activity"


@contextmanager
def activity(answer: Callable[[int], dict[str, float]]) -> Iterator[str]:
    """An `/activity` whose n-th answer, from 1, is `answer(n)`; gives its URL."""
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            body = json.dumps(answer(asked)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/activity"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


def test_work_in_flight_keeps_it_until_it_is_done() -> None:
    seen: list[int] = []

    def answer(number: int) -> dict[str, float]:
        seen.append(number)
        return {**QUIET, "in_flight": 1 if number <= 30 else 0}

    with activity(answer) as url, sidecar("--activity-url", url, "--idle-seconds", 0.1) as process:
        assert ended(process)[0] == 0

    assert seen[-1] > 30


@pytest.mark.parametrize("said", [[], {"in_flight": "x", "last_useful": 1}, {"in_flight": 0}, None])
def test_an_unreachable_or_strange_activity_never_stops_it(said: object) -> None:
    """The child ends by itself after a second: the sidecar gives its status, so it had not stopped it before."""
    child = "import sys, time; print('ready', flush=True); time.sleep(1); sys.exit(5)"
    with (
        activity(lambda _: said) as url,  # type: ignore[arg-type, return-value]  # strange on purpose
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
    ],
)
def test_wrong_options_end_with_a_hint(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments, {})

    assert caught.value.code == 2
