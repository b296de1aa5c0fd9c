"""What is told of small mistakes: nothing of the inside, nothing twice, and before work is done for nothing."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError

from mcp_server.allocator import give_back_what_is_freed
from mcp_server.deployments.desk import Desk
from mcp_server.deployments.store import Deployments
from mcp_server.errors import JobDied, StorageFull
from mcp_server.market.catalogue import Catalogue
from mcp_server.sandbox import Job, Sandbox
from mcp_server.storage.database import Database
from mcp_server.storage.memories import Memories
from mcp_server.storage.quota import MIB
from mcp_server.strategies.contract import read_contract
from mcp_server.strategies.store import Strategies
from mcp_server.tests.deploying import request
from mcp_server.tests.direct import DirectRunner
from mcp_server.tests.harness import RunningServer, call, get, refusal
from mcp_server.tests.sandbox_entries import NAME as ENTRIES
from mcp_server.tools.deployments import DeploymentTools
from mcp_server.tools.offer import READS, Linked, Offer, tool_of
from mcp_server.workspace import Choices, open_workspace

HONEST = "def signals(bars):\n    return (bars['close'] > bars['close'].shift(1)).astype(float)"


async def test_an_error_does_not_begin_with_the_tools_name(client: Client) -> None:
    """Source: a model that calls a tool knows which; "Error executing tool X: " stood before each text."""
    told = await refusal(client, "get_bars", symbol="NONE")

    assert told.startswith("No instrument 'NONE'.")


async def test_what_breaks_inside_is_told_in_a_sentence_and_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deploy_strategy() -> Linked:
        raise ZeroDivisionError("/data/secret")

    broken = MCPServer[Any]("broken", tools=[tool_of(Offer(deploy_strategy, "Break", READS))])
    async with Client(broken) as client:
        told = await refusal(client, "deploy_strategy")

    assert told.startswith(
        "Something in the workspace broke while it ran deploy_strategy; the arguments are not to blame"
    )
    assert "secret" not in told
    assert "Traceback" in caplog.text
    assert "ZeroDivisionError: /data/secret" in caplog.text


@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("get_bars", {"symbol": "SPX", "limit": True}, "limit"),
        ("get_strategy", {"name": "sma_crossover", "version": False}, "version"),
        ("run_backtest", {"strategy": "sma_crossover", "symbol": "SPX", "fee_bps": True}, "fee_bps"),
    ],
)
async def test_true_and_false_are_no_numbers(
    client: Client, tool: str, arguments: dict[str, object], name: str
) -> None:
    told = await refusal(client, tool, **arguments)

    assert told == f"Wrong arguments for {tool}: {name}: Input should be a number, not true or false"


async def test_true_is_no_whole_number_of_a_strategy_or_an_indicator(client: Client) -> None:
    wish = {"strategy": "sma_crossover", "symbol": "SPX", "params": {"fast": True}}
    assert "fast is True; its default 20 says that it is int" in await refusal(client, "run_backtest", **wish)
    wanted = [{"name": "SMA", "params": {"timeperiod": True}}]
    assert "timeperiod" in await refusal(client, "compute_indicators", symbol="SPX", indicators=wanted)


async def test_a_tool_that_is_not_there_is_no_use_of_the_workspace(client: Client, server: RunningServer) -> None:
    """Source: a client that calls one tool in vain, again and again, kept an idle workspace awake."""
    before = get(server.activity_url).json()["last_useful"]
    with suppress(MCPError):
        assert (await client.call_tool("no_such_tool", {})).is_error
    idle = get(server.activity_url).json()["last_useful"]
    await call(client, "list_strategies")

    assert idle == before
    assert get(server.activity_url).json()["last_useful"] > before


async def test_a_parquet_text_that_is_not_ascii_is_told_in_plain_words(client: Client) -> None:
    told = await refusal(client, "import_parquet", symbol="PQ", parquet_base64="UEFSMQé" * 3)

    assert told == "the text is not base64"


async def test_a_byte_order_mark_before_a_source_is_no_error(client: Client) -> None:
    """Source: Notepad writes one; Python then finds an invalid character in line 1."""
    saved = await call(client, "save_strategy", name="marked", source="\ufeff" + HONEST)
    validated = await call(client, "validate_strategy", source="\ufeff" + HONEST)
    read = await call(client, "get_strategy", name="marked")

    assert (saved["stored"], validated["valid"], read["source"]) == (True, True, HONEST)


def test_a_symbol_that_is_named_twice_in_other_letters_is_a_problem() -> None:
    (problem,) = read_contract("\nSYMBOLS = ['SPX', 'spx']\ndef signals(bars): return 0").problems

    assert (problem.name, problem.line) == ("BadSymbols", 2)
    assert "twice" in problem.message


def test_what_can_not_be_parsed_is_told_by_its_reason() -> None:
    (nested,) = read_contract("(" * 30_000).problems
    (null,) = read_contract("x = 1\ny = '\0'").problems

    assert "null" not in nested.message
    assert (null.name, null.line) == ("SyntaxError", 2)
    assert "null character" in null.message


def test_an_error_of_an_import_shows_no_folder(sandbox: Sandbox) -> None:
    with pytest.raises(JobDied) as died:
        sandbox.run(Job("mcp_server.tests.broken_entry:run", {}))

    assert "cannot import name 'nothing'" in str(died.value)
    assert "/" not in str(died.value)


def test_an_error_of_an_entry_shows_no_folder(sandbox: Sandbox) -> None:
    with pytest.raises(JobDied) as died:
        sandbox.run(
            Job(f"{ENTRIES}:source", {"source": "raise LookupError('/usr/lib/python3/secret.py is not there')"})
        )

    assert "LookupError: secret.py is not there" in str(died.value)


@pytest.fixture
def full(tmp_path: Path) -> Database:
    """A data file with no room left."""
    database = Database(tmp_path, user="demo-free", quota_bytes=2 * MIB)
    memories = Memories(database)
    try:
        for number in range(1000):
            memories.remember(f"{number:060}" * 60, tags=[])
    except StorageFull:
        return database
    raise AssertionError("it is never full")


def test_a_full_quota_is_told_before_a_deployments_run(full: Database) -> None:
    with closing(full):
        runner = DirectRunner()
        desk = Desk(Deployments(full), strategies=Strategies(full), catalogue=Catalogue(full), sandbox=runner)
        with pytest.raises(StorageFull):
            desk.deploy(request(strategy="sma_crossover", symbol="SPX"), key="k")

    assert runner.runs == 0


def test_room_is_expected_where_there_is_some(database: Database) -> None:
    database.expect_room(MIB)
    with pytest.raises(StorageFull):
        database.expect_room(database.quota_bytes)


def test_what_is_left_of_sums_is_not_shown_as_cash(tmp_path: Path) -> None:
    """Source: -1e-10 of cash in an account that holds everything."""
    with closing(open_workspace(tmp_path, user="u", tier="pro", choices=Choices(embeddings="none"))) as workspace:
        made = workspace.desk.deploy(request(strategy="sma_crossover", symbol="SPX"), key="k")
        shown = DeploymentTools(workspace.desk)._deployed(replace(made, account=replace(made.account, cash=-1e-10)))

    assert str(shown.cash) == "0.0"


def test_the_c_library_takes_its_settings() -> None:
    """Source: 548 MB for twenty backtests at once without them, 358 MB with them."""
    assert give_back_what_is_freed()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.8, 0.95])
def test_the_label_of_a_split_stays_inside_the_picture(share: float) -> None:
    """Source: the last tenth of the bars kept for judging: its label ran over the right edge and the axis."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from mcp_server.jobs.charts import DOTS_PER_INCH, INCHES, _draw_split

    times = np.arange(1000).astype("datetime64[D]").astype("datetime64[ns]")
    figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(times, np.ones(1000))
    _draw_split(upper, lower, times[int(share * 1000)])
    canvas.draw()  # type: ignore[no-untyped-call]  # the package has no types here
    (label,) = upper.texts

    edges, box = upper.get_window_extent(), label.get_window_extent()
    assert edges.x0 <= box.x0 < box.x1 <= edges.x1
