"""The Valkey for tests and for several processes on one laptop."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from gateway.embedded import running_valkey

PROJECT = Path(__file__).resolve().parents[2]


def test_it_answers_in_a_folder_with_a_space_and_ends_with_the_block(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "a b") as url, redis.Redis.from_url(url) as client:
        assert client.ping()
        client.set("word", "kept in memory")
        assert client.get("word") == b"kept in memory"

    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_stranger_without_the_password_is_refused(tmp_path: Path) -> None:
    with (
        running_valkey(tmp_path) as url,
        redis.Redis.from_url(f"redis://{url.split('@')[1]}") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_two_servers_live_side_by_side(tmp_path: Path) -> None:
    with (
        running_valkey(tmp_path / "one") as one,
        running_valkey(tmp_path / "two") as two,
        redis.Redis.from_url(one) as first,
        redis.Redis.from_url(two) as second,
    ):
        first.set("word", "mine")
        assert second.get("word") is None


def test_it_leaves_nothing_on_the_disk_but_its_log(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("word", "gone")

    assert [path.name for path in tmp_path.iterdir()] == ["valkey.log"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_by_hand_it_prints_its_url_and_ends_with_the_terminal(number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.embedded"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip().removeprefix("REDIS_URL=")
    with redis.Redis.from_url(url) as client:
        server = int(client.info("server")["process_id"])
        ending = os.pidfd_open(server)
        process.send_signal(number)
        process.communicate(timeout=20)

        # A descriptor of a process is readable once the process has ended, see pidfd_open(2).
        assert wait_readable(ending, timeout_s=10)
    os.close(ending)


def wait_readable(fd: int, *, timeout_s: float) -> bool:
    """Whether `fd` becomes readable in time."""
    return bool(select.select([fd], [], [], timeout_s)[0])
