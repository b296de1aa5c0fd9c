"""What still runs while the user deletes or restores everything: none of it comes back into the new file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver.exceptions import ToolError

from mcp_server.archive.erasure import erase_everything
from mcp_server.archive.exports import Exports
from mcp_server.archive.reading import restore_archive
from mcp_server.archive.tables import ORDINARY
from mcp_server.deployments.ledger import opened
from mcp_server.deployments.store import Deployments, Terms
from mcp_server.errors import DataReplaced, WorkspaceBusy
from mcp_server.server import tools
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.storage.memories import Memories
from mcp_server.tests.harness import USER, RunningServer, call
from mcp_server.workspace import Choices, Workspace, open_workspace

TERMS = Terms("mine", 1, "d" * 64, ("SPX",), "1d", {}, 5.0, 1.0, keep_running=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A user's workspace without a server around it."""
    opened_one = open_workspace(tmp_path, user=USER, tier="pro", choices=Choices(embeddings="none"))
    with closing(opened_one):
        yield opened_one


class DeletesAtTheLastStep:
    """The context of a tool call whose client deletes everything when it hears that the result is about to be stored."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def report_progress(self, done: float, total: float, _text: str) -> None:
        if done == total - 1:
            erase_everything(self._workspace.database, self._workspace.exports)


def deploy(deployments: Deployments) -> None:
    deployments.add(TERMS, source="", key="k", request="{}", start=(0, opened({"SPX": 1.0}, {"SPX": 0.0})))


async def test_a_backtest_that_runs_while_everything_is_deleted_is_not_stored(workspace: Workspace) -> None:
    (tool,) = (each for each in tools(workspace) if each.name == "run_backtest")
    arguments = {"strategy": "sma_crossover", "symbol": "SPX", "start": "2017-01-01"}

    context: Any = DeletesAtTheLastStep(workspace)
    with pytest.raises(ToolError, match="was deleted or restored while this ran"):
        await tool.run(arguments, context)

    with workspace.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM backtests").fetchone() == (0,)


OWN = "def signals(bars, n=2):\n    return (bars['close'] > bars['close'].rolling(n).mean()).astype(float)"


@pytest.mark.parametrize(
    ("tool", "more"),
    [("sweep_strategy", {"grid": {"n": list(range(2, 102))}}), ("run_backtest", {})],
)
async def test_nothing_of_what_was_deleted_comes_back_from_what_ran_then(
    client: Client, server: RunningServer, tool: str, more: dict[str, Any]
) -> None:
    """Source: delete_data while a sweep of the user's own strategy over the user's own bars ran."""
    csv = "date,open,high,low,close\n" + "\n".join(
        f"{date(2000, 1, 1) + timedelta(days=day)},{price},{price},{price},{price}"
        for day, price in enumerate(100 + day % 7 for day in range(3000))
    )
    await call(client, "save_strategy", name="mine", source=OWN)
    await call(client, "import_bars", symbol="MY.OWN", csv=csv)
    begun = asyncio.Event()

    async def hear(*_: Any) -> None:
        begun.set()

    wish = {"strategy": "mine", "symbol": "MY.OWN", **more}
    running = asyncio.create_task(
        client.call_tool(tool, wish, progress_callback=hear, read_timeout_seconds=90)  # type: ignore[arg-type]
    )
    await begun.wait()
    await call(client, "delete_data", confirm=USER)
    result = await running

    assert result.is_error
    assert "was deleted or restored while this ran" in result.content[0].text  # type: ignore[union-attr]
    assert rows_of(server.data) == {}
    assert b"MY.OWN" not in b"".join(file.read_bytes() for file in server.data.rglob("*") if file.is_file())


def rows_of(folder: Path) -> dict[str, int]:
    """How many rows each table of the user's data has, where it has any."""
    with closing(sqlite3.connect(f"file:{folder / FILE_NAME}?mode=ro", uri=True)) as file:
        names = [name for (name,) in file.execute(ORDINARY) if name != "about"]
        counts = {name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    return {name: count for name, count in counts.items() if count}


def test_what_began_before_a_deletion_writes_nothing_after_it(database: Database) -> None:
    memories, exports = Memories(database), Exports(database)

    with database.same_file():
        memories.remember("Trades only futures", tags=())
        erase_everything(database, exports)
        with pytest.raises(DataReplaced), database.same_file():
            memories.remember("Trades only options", tags=())
    memories.remember("Trades nothing", tags=())

    assert [memory.content for memory in memories.newest(9)] == ["Trades nothing"]


def test_deployments_are_counted_anew_in_another_file(database: Database) -> None:
    """Source: the sidecar keeps a workspace awake for deployments that are to be kept."""
    deployments = Deployments(database)
    deploy(deployments)
    assert (deployments.live().running, deployments.live().kept) == (1, 1)

    erase_everything(database, Exports(database))

    assert (deployments.live().running, deployments.live().kept) == (0, 0)


def test_only_one_file_is_made_to_take_the_others_place(database: Database, tmp_path: Path) -> None:
    empty = (tmp_path / "none").open("w+b")
    with empty, database.rebuilding():
        with pytest.raises(WorkspaceBusy):
            erase_everything(database, Exports(database))
        with pytest.raises(WorkspaceBusy):
            restore_archive(database, empty)
