"""Strategies that reach for files and the network.

Each attack runs as whoever runs the tests; where that is root, test_sandbox_users.py runs it again as an ordinary user.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.errors import Forbidden, JobDied, OutOfTime, OutputTooLarge
from mcp_server.sandbox import Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.tests.attacks import outcome


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Files of this user, whom an ordinary user's jobs share the account with."""
    database = Database(tmp_path / "data", user="demo-pro")
    note = tmp_path / "note"
    note.write_text("secret", encoding="ascii")
    for each in (tmp_path, *tmp_path.parents):
        if each.owner() != "root" or each.stat().st_uid == os.getuid():
            with_others(each)
    yield {"note": str(note), "database": str(tmp_path / "data" / FILE_NAME), "folder": str(tmp_path)}
    database.close()


def with_others(folder: Path) -> None:
    """Let every user pass, so that nothing but the sandbox stands in the way."""
    if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):  # noqa: S108 - pytest's folders
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "text",
    [
        "open('/etc/passwd').read()",
        "open('/etc/hostname').read()",
        "open(task.arguments['note']).read()",
        "open(task.arguments['note'], 'w')",
        "open(task.arguments['note'], 'a')",
        "open(task.arguments['database'], 'rb').read()",
        "import os\nos.listdir(task.arguments['folder'])",
        "import os\nos.listdir('/')",
        "import os\nos.listdir('..')",
        "open('/proc/self/environ', 'rb').read()",
        "open(f\"/proc/{task.arguments['server']}/environ\", 'rb').read()",
        "open(f\"/proc/{task.arguments['server']}/mem\", 'rb').read()",
        "import os\nos.listdir(f\"/proc/{task.arguments['server']}/fd\")",
        "import os\nopen(f'/proc/{os.getppid()}/cmdline').read()",
        "import os\nos.unlink(task.arguments['note'])",
        "import os\nos.rename(task.arguments['note'], 'mine')",
        "import os\nos.truncate(task.arguments['note'], 0)",
        "import os\nos.chmod(task.arguments['note'], 0)",
        "import os\nos.utime(task.arguments['note'], (0, 0))",
        "import os\nos.setxattr(task.arguments['note'], 'user.x', b'1')",
        "import os\nos.chown(task.arguments['note'], os.getuid(), os.getgid())",
        "import os\nos.mkdir(task.arguments['folder'] + '/made')",
        "open(task.arguments['folder'] + '/made', 'w')",
        "import os\nos.symlink('/etc/passwd', 'link')\nopen('link').read()",
        "import os\nos.symlink(task.arguments['note'], task.arguments['folder'] + '/link')",
        "import os\nos.mkfifo('fifo')",
        "import os\nos.unlink(os.__file__)",
        "import os\nopen(os.__file__, 'a')",
        "import os, mcp_server\nopen(os.path.dirname(mcp_server.__file__) + '/../conftest.py').read()",
    ],
)
def test_files_of_others_can_not_be_read_or_changed(sandbox: Sandbox, secrets: dict[str, str], text: str) -> None:
    before = Path(secrets["note"]).stat()

    found = outcome(sandbox, text, arguments={"server": os.getpid(), **secrets})

    assert isinstance(found, Forbidden), found
    after = Path(secrets["note"]).stat()
    assert (after.st_mode, after.st_size, after.st_mtime_ns) == (before.st_mode, before.st_size, before.st_mtime_ns)
    assert sorted(each.name for each in Path(secrets["folder"]).iterdir()) == ["data", "note"]


def test_a_file_without_a_name_can_not_be_made(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "import os\nos.open('.', os.O_TMPFILE | os.O_RDWR)")

    assert isinstance(found, JobDied)
    assert "Operation not supported" in str(found)


def test_a_hard_link_to_anothers_file_can_not_be_made(sandbox: Sandbox, secrets: dict[str, str]) -> None:
    found = outcome(sandbox, "import os\nos.link(task.arguments['note'], 'mine')", arguments=secrets)

    assert isinstance(found, Forbidden)
    assert Path(secrets["note"]).stat().st_nlink == 1


@pytest.mark.parametrize(
    "text",
    [
        "f = open('one', 'wb')\nwhile True: f.write(bytes(1_000_000))",
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(bytes(1_000_000))",
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb')",
        "import os\nn = 0\nwhile True:\n    n += 1\n    os.truncate(os.open(str(n), os.O_CREAT | os.O_RDWR), 4_000_000)",
    ],
)
def test_ten_gigabytes_are_not_written(sandbox: Sandbox, text: str) -> None:
    text = f"try:\n    {text.replace(chr(10), chr(10) + '    ')}\nexcept OSError: pass\nwhile True: pass"
    most = 0
    done = threading.Event()

    def measure() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, written(sandbox._scratch.folder))

    thread = threading.Thread(target=measure)
    thread.start()
    found = outcome(sandbox, text, limits=Limits(wall_s=2, disk_bytes=8 * MIB))
    done.set()
    thread.join()

    assert isinstance(found, OutputTooLarge | OutOfTime)
    assert most < 128 * MIB


def written(folder: Path) -> int:
    total = 0
    for each in folder.glob("job-*/*"):
        try:
            total += each.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def test_many_files_end_in_a_name(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(bytes(1_000_000))")

    assert isinstance(found, OutputTooLarge)
    assert "folder" in str(found)


def test_one_large_file_ends_in_a_name(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "f = open('one', 'wb')\nwhile True: f.write(bytes(1_000_000))")

    assert isinstance(found, OutputTooLarge)


SOCKETS = [
    "socket.socket(socket.AF_INET).connect(('127.0.0.1', task.arguments['port']))",
    "socket.create_connection(('127.0.0.1', task.arguments['port']))",
    "socket.socket(socket.AF_INET6)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "socket.socket(socket.AF_UNIX).connect(task.arguments['path'])",
    "socket.socket(socket.AF_UNIX).connect(chr(0) + task.arguments['abstract'])",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socket.socketpair()",
    "import urllib.request\nurllib.request.urlopen(f\"http://127.0.0.1:{task.arguments['port']}\")",
    "import asyncio\nasyncio.run(asyncio.sleep(0))",
]


@pytest.mark.parametrize("text", SOCKETS)
def test_no_socket_is_opened(sandbox: Sandbox, tmp_path: Path, text: str) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0))]
    path, abstract = str(tmp_path / "socket"), f"dexorder-test-{os.getpid()}"
    for address in (path, f"\0{abstract}"):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(address)
        listeners[-1].listen()
    port = listeners[0].getsockname()[1]

    found = outcome(sandbox, f"import socket\n{text}", arguments={"port": port, "path": path, "abstract": abstract})

    assert isinstance(found, Forbidden)
    assert "Operation not permitted" in str(found)
    assert select.select(listeners, [], [], 0)[0] == []
    for each in listeners:
        each.close()
