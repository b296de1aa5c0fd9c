"""kill -9 between any two changes of the folder: it opens, and nothing that was acknowledged is missing."""

from __future__ import annotations

import random
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.tests.crash_child import USER, Expected, Operation, State, found_in, operations
from mcp_server.tests.crash_points import available, run_and_kill
from mcp_server.tests.harness import WORKSPACE

OPERATIONS = 40

pytestmark = pytest.mark.skipif(not available(), reason="needs Linux on x86-64 or AArch64")


def work(folder: Path, seed: int, *, before: int | None) -> tuple[int, int]:
    """Let a process work on the folder until it is killed; gives how many operations it acknowledged, and changes."""
    command = [sys.executable, "-m", "mcp_server.tests.crash_child", str(folder), str(seed), str(OPERATIONS)]
    lines, changes = run_and_kill(command, before=before, cwd=str(WORKSPACE))
    assert lines == [str(number) for number in range(len(lines))]
    return len(lines), changes


def states(done: list[Operation]) -> list[State]:
    """What the folder holds before the first operation and after each."""
    expected = Expected()
    return [State(), *(expected.do(operation) for operation in done)]


def check(folder: Path, seed: int, *, before: int | None) -> int:
    """Kill the process there and look what the folder holds; gives the number of changes that it came to."""
    acknowledged, changes = work(folder, seed, before=before)
    after = states(operations(seed, OPERATIONS))

    with closing(Database(folder, user=USER)) as database:
        found = found_in(database)
    # The operation that it was killed in is whole or absent.
    assert found in after[acknowledged : acknowledged + 2], (seed, before, acknowledged)
    assert {file.name for file in folder.iterdir()} == {FILE_NAME}
    return changes


@given(seed=st.integers(0, 10**6), where=st.floats(0, 1))
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_killed_before_any_change_of_a_file_the_folder_has_what_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, seed: int, where: float
) -> None:
    """Source: crash-safe at any kill -9. A change is a write, sync, truncation, rename, link or removal."""
    changes = check(tmp_path_factory.mktemp("whole"), seed, before=None)

    check(tmp_path_factory.mktemp("killed"), seed, before=1 + int(where * (changes - 1)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_killed_before_each_change_of_a_file(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    changes = check(tmp_path_factory.mktemp("whole"), seed, before=None)
    points = range(1, changes + 1)
    for before in sorted(random.Random(seed).sample(points, min(150, changes))):  # noqa: S311 - which ones is no secret
        check(tmp_path_factory.mktemp("killed"), seed, before=before)


def test_an_erasure_that_was_interrupted_is_ended_by_the_next_start(tmp_path: Path) -> None:
    """Source: deleted for good, also when the kill came between the rename and the last zero."""
    (tmp_path / "erased-0123").write_bytes(b"marmalade")
    (tmp_path / "draft-0123").mkdir()
    (tmp_path / "draft-0123" / FILE_NAME).write_bytes(b"marmalade")
    with closing(Database(tmp_path, user=USER)):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {FILE_NAME}

    (tmp_path / "erased-4567").hardlink_to(tmp_path / FILE_NAME)
    with closing(Database(tmp_path, user=USER)):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {FILE_NAME}
