"""The embedded PostgreSQL (DESIGN.md, What the first run needs): each user of it is a real process."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from gateway.embedded.postmaster import Postmaster, running_postmaster

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path
from gateway.embedded import ensure_database_url
print(ensure_database_url(Path(sys.argv[1]), durable=False), flush=True)
sys.stdin.read()
"""


class User:
    """A process that uses the server until it is told to leave."""

    def __init__(self, data_dir: Path, script: str = SCRIPT) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(data_dir)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self, number: int | None = None) -> int:
        """End as asked, by default like a command that is done; return the exit status."""
        if number is not None:
            self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder whose path has a space and a parent that only its owner enters; no server is left in it."""
    private = tmp_path / "only mine"
    private.mkdir(mode=0o700)
    yield private / ".data"
    if server_of(private / ".data"):
        User(private / ".data").leave()


@pytest.fixture(scope="module")
def left_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whose first run is over: to make a cluster takes four times the processor time of a start."""
    folder = tmp_path_factory.mktemp("cluster") / ".data"
    User(folder).leave()
    return folder


@pytest.fixture
def second_run(left_before: Path, data_dir: Path) -> None:
    """A cluster lies in the folder. The account that runs PostgreSQL owns it, which `cp` keeps."""
    subprocess.run(["cp", "-a", left_before, data_dir], check=True)


@pytest.fixture
def crowd(data_dir: Path) -> Iterator["Crowd"]:
    """Processes that all leave when the test ends."""
    with ExitStack() as stack:
        yield Crowd(data_dir, stack)


class Crowd:
    """Makes users of one server."""

    def __init__(self, data_dir: Path, stack: ExitStack) -> None:
        self.data_dir, self.stack = data_dir, stack

    def join(self) -> User:
        user = User(self.data_dir)
        self.stack.callback(user.leave)
        return user


def server_of(data_dir: Path) -> Postmaster | None:
    return running_postmaster(data_dir / "postgres" / "data")


def started_at(url: str) -> object:
    return ask(url, "SELECT pg_postmaster_start_time()")


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_the_first_user_gets_a_utf8_database_of_its_own(crowd: Crowd) -> None:
    url = crowd.join().url()

    assert ask(url, "SELECT current_database() || ' ' || current_user") == "gateway gateway"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SELECT lower('ÄÖÜ')") == "äöü"


def test_data_is_kept_from_one_run_to_the_next_at_the_same_url(data_dir: Path) -> None:
    first = User(data_dir)
    url = first.url()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'still here' AS word")
    first.leave()

    second = User(data_dir)

    assert second.url() == url
    assert ask(url, "SELECT word FROM kept") == "still here"
    second.leave()


@pytest.mark.usefixtures("second_run")
def test_unless_told_otherwise_a_commit_survives_a_power_cut(data_dir: Path) -> None:
    user = User(data_dir, SCRIPT.replace(", durable=False", ""))

    assert ask(user.url(), "SHOW fsync") == "on"
    user.leave()


def test_only_the_owner_reads_the_url_and_only_its_password_opens_the_door(data_dir: Path, crowd: Crowd) -> None:
    url = crowd.join().url()
    file = data_dir / "postgres" / "url"

    assert file.read_text().strip() == url
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(url.replace(str(urlsplit(url).password), "guess"), "SELECT 1")


@pytest.mark.usefixtures("second_run")
def test_the_last_to_leave_stops_the_server_and_nobody_before(data_dir: Path, crowd: Crowd) -> None:
    first, second = crowd.join(), crowd.join()
    born = started_at(first.url())

    first.leave()
    assert started_at(second.url()) == born

    second.leave()
    assert server_of(data_dir) is None


@pytest.mark.usefixtures("second_run")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_user_that_is_asked_to_end_leaves_in_order(data_dir: Path, number: int, status: int) -> None:
    user = User(data_dir)
    user.url()

    assert user.leave(number) == status
    assert server_of(data_dir) is None


@pytest.mark.usefixtures("second_run")
def test_a_killed_user_leaves_the_server_to_the_next(data_dir: Path) -> None:
    killed = User(data_dir)
    born = started_at(killed.url())
    killed.leave(signal.SIGKILL)

    heir = User(data_dir)
    assert started_at(heir.url()) == born

    heir.leave()
    assert server_of(data_dir) is None


@pytest.mark.usefixtures("second_run")
def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path, crowd: Crowd) -> None:
    user = crowd.join()
    user.url()
    server = server_of(data_dir)

    assert server is not None
    assert os.getsid(server.pid) == server.pid != os.getsid(user.process.pid)


def test_many_that_start_at_once_share_one_server(crowd: Crowd) -> None:
    users = [crowd.join() for _ in range(6)]

    assert len({started_at(user.url()) for user in users}) == 1


@pytest.mark.usefixtures("second_run")
def test_whoever_joins_while_another_leaves_finds_a_server_that_stays(data_dir: Path) -> None:
    leaving = User(data_dir)
    leaving.url()

    for _ in range(8):
        coming = User(data_dir)
        leaving.leave()
        assert ask(coming.url(), "SELECT 1") == 1
        leaving = coming
    leaving.leave()


def test_a_first_run_that_is_killed_at_any_moment_is_simply_begun_again(data_dir: Path) -> None:
    for patience_s in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7):
        user = User(data_dir)
        with pytest.raises(subprocess.TimeoutExpired):
            user.process.wait(patience_s)
        user.leave(signal.SIGKILL)

    survivor = User(data_dir)
    assert ask(survivor.url(), "SELECT current_database()") == "gateway"
    survivor.leave()
    assert not list((data_dir / "postgres").glob("new-*"))


@pytest.mark.usefixtures("second_run")
def test_a_server_that_died_is_started_again_where_its_users_look_for_it(data_dir: Path, crowd: Crowd) -> None:
    url = crowd.join().url()
    server = server_of(data_dir)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)

    assert crowd.join().url() == url
    assert ask(url, "SELECT 1") == 1


@pytest.mark.usefixtures("second_run")
def test_a_stale_pid_that_belongs_to_another_process_now_is_no_server(data_dir: Path) -> None:
    """As after a restart of the machine; PostgreSQL alone would refuse to start."""
    stale = data_dir / "postgres" / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n1700000000\n5432\n\n127.0.0.1\n  1 1\nready   \n")

    user = User(data_dir)
    assert ask(user.url(), "SELECT 1") == 1
    user.leave()


@pytest.mark.usefixtures("second_run")
def test_when_another_program_took_the_port_the_server_moves(data_dir: Path) -> None:
    first = User(data_dir)
    old = urlsplit(first.url())
    first.leave()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", old.port or 0))
        squatter.listen()
        second = User(data_dir)
        new = urlsplit(second.url())

        assert (new.port != old.port, new.password) == (True, old.password)
        assert ask(new.geturl(), "SELECT 1") == 1
        second.leave()


@pytest.mark.usefixtures("second_run")
def test_a_lost_url_is_made_anew_with_a_new_password(data_dir: Path) -> None:
    first = User(data_dir)
    lost = urlsplit(first.url()).password
    first.leave()
    (data_dir / "postgres" / "url").unlink()

    second = User(data_dir)
    url = second.url()
    assert urlsplit(url).password != lost
    assert ask(url, "SELECT 1") == 1
    second.leave()


@pytest.mark.usefixtures("second_run")
def test_a_server_that_can_not_start_says_why(data_dir: Path) -> None:
    version = data_dir / "postgres" / "data" / "PG_VERSION"
    version.write_text("9.6\n")

    _, complaint = User(data_dir).process.communicate(timeout=60)

    assert "database files are incompatible with server" in complaint


def test_a_folder_of_another_user_is_refused_in_words(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    become_a_stranger = "import os\nif os.geteuid() == 0:\n    os.seteuid(65534)\n"
    script = SCRIPT.replace("print(", f"{become_a_stranger}print(", 1)

    _, complaint = User(closed, script).process.communicate(timeout=60)

    assert f"{closed}" in complaint
    assert "belongs to another user: run as its owner" in complaint
