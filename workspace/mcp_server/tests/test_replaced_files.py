"""What still runs while the user deletes or restores everything: none of it comes back into the new file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver.exceptions import ToolError

from mcp_server.archive.erasure import erase_everything
from mcp_server.archive.exports import Exports
from mcp_server.archive.reading import restore_archive
from mcp_server.deployments.ledger import opened
from mcp_server.deployments.store import Deployments, Terms
from mcp_server.errors import DataReplaced, WorkspaceBusy
from mcp_server.server import tools
from mcp_server.storage.database import Database
from mcp_server.storage.memories import Memories
from mcp_server.tests.harness import USER
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
