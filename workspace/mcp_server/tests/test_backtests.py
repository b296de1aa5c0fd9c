"""Backtests, sweeps and risk through a real server, its sandbox and its file."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import pytest
from mcp.client import Client

from mcp_server.tests.harness import RunningServer, get, refusal

CROSSOVER: dict[str, Any] = {"strategy": "sma_crossover", "symbol": "SPX", "start": "2010-01-01"}
SIMPLE = "def signals(bars, n=3):\n    return (bars['close'] > bars['close'].rolling(n).mean()).astype(float)\n"
PEEKING = "def signals(bars):\n    return (bars['close'].shift(-1) > bars['close']).astype(float)\n"
ENDLESS = "def signals(bars):\n    while True:\n        pass\n"


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    """The whole result of a call that succeeds."""
    result = await client.call_tool(tool, arguments, read_timeout_seconds=90)
    assert not result.is_error, result.content
    return result


async def figures(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    structured: dict[str, Any] = (await answer(client, tool, **arguments)).structured_content
    return structured


async def resource(client: Client, uri: str) -> Any:
    return (await client.read_resource(uri)).contents[0]


async def test_a_backtest_tells_its_figures_beside_buy_and_hold(client: Client) -> None:
    told = await figures(client, "run_backtest", **CROSSOVER)

    assert (told["strategy"], told["version"], told["params"]["fast"], told["symbols"]) == (
        "sma_crossover",
        0,
        20,
        ["SPX"],
    )
    assert (told["from"], told["to"], told["bars"], told["interval"]) == ("2010-01-04", "2018-12-31", 2264, "1d")
    assert {"cagr_percent", "sharpe", "sortino", "exposure_percent", "turnover_per_year"} <= told["metrics"].keys()
    # Bought at the second bar's open, 1132.66, and worth the last close, 2506.85, less 0.06 %.
    assert told["benchmark"]["final_equity"] == pytest.approx(100_000 * 2506.850098 / 1132.660034 / 1.0006, rel=1e-6)
    assert told["benchmark"]["trades"] == told["benchmark"]["open_trades"] == 1
    assert told["notes"] == []


async def test_a_line_that_is_written_like_a_look_ahead_is_among_the_notes(client: Client) -> None:
    source = "def signals(bars):\n    last = bars['close'].iloc[-1]\n    return (bars['close'] > 0).astype(float)"
    await answer(client, "save_strategy", name="suspect", source=source)

    told = await figures(client, "run_backtest", **{**CROSSOVER, "strategy": "suspect"})

    assert told["notes"][-1].startswith("Line 2: `bars['close'].iloc[-1]` is the last of all bars. ")


async def test_its_picture_comes_with_the_answer_and_as_a_resource(client: Client) -> None:
    import matplotlib.image

    result = await answer(client, "run_backtest", **CROSSOVER)

    text, image = result.content
    assert json.loads(text.text) == result.structured_content
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(image.data)), format="png")
    assert picture.shape[:2] == (780, 780)
    assert picture.std() > 0.05
    stored = await resource(client, result.structured_content["chart_uri"])
    assert (stored.mime_type, stored.blob) == ("image/png", image.data)


async def test_the_list_of_trades_adds_up_to_the_account(client: Client) -> None:
    told = await figures(client, "run_backtest", **CROSSOVER)

    stored = await resource(client, told["trades_uri"])

    trades = json.loads(stored.text)["trades"]
    assert len(trades) == told["metrics"]["trades"]
    assert 100_000 + sum(trade["pnl"] for trade in trades) == pytest.approx(told["metrics"]["final_equity"])
    assert trades[0].keys() >= {"side", "entry", "exit", "units", "entry_price", "exit_price", "pnl", "bars_held"}
    assert all(trade["exit"] is None or trade["entry"] < trade["exit"] for trade in trades)


async def test_the_same_input_gives_the_stored_result(client: Client) -> None:
    first = await answer(client, "run_backtest", **CROSSOVER)
    again = await answer(client, "run_backtest", **CROSSOVER, params={"fast": 20.0, "slow": 100})

    assert again.content == first.content
    identity = first.structured_content["id"]
    read = await answer(client, "get_backtest", id=identity)
    assert read.content == first.content
    assert (
        json.loads((await resource(client, f"backtest://{identity}")).text)["digest"]
        == first.structured_content["digest"]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"fast": 21}},
        {"fee_bps": 6},
        {"slippage_bps": 2},
        {"end": "2018-12-28"},
        {"symbol": "IXIC"},
        {"folds": 2},
        {"interval": "1w"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_input_has_another_digest(client: Client, change: dict[str, Any]) -> None:
    digests = {
        (await figures(client, "run_backtest", **arguments))["digest"]
        for arguments in (CROSSOVER, {**CROSSOVER, **change})
    }

    assert len(digests) == 2


async def test_a_saved_strategy_is_run_in_the_version_asked_for(client: Client) -> None:
    await answer(client, "save_strategy", name="mine", source=SIMPLE)
    await answer(client, "save_strategy", name="mine", source=SIMPLE.replace("n=3", "n=5"))

    newest, older = [
        await figures(client, "run_backtest", strategy=name, symbol="SPX", start="2018-01-01")
        for name in ("mine", "mine@1")
    ]

    assert (newest["version"], newest["params"]) == (2, {"n": 5})
    assert (older["version"], older["params"]) == (1, {"n": 3})
    assert newest["digest"] != older["digest"]


async def test_a_strategy_that_knows_later_bars_is_refused_with_the_bar_and_the_line(client: Client) -> None:
    await answer(client, "save_strategy", name="peeking", source=PEEKING)

    for tool, more in (("run_backtest", {}), ("sweep_strategy", {"grid": {"n": [1]}})):
        if tool == "sweep_strategy":
            await answer(client, "save_strategy", name="peeking", source=PEEKING.replace("bars)", "bars, n=1)"))
        text = await refusal(client, tool, strategy="peeking", symbol="SPX", start="2018-01-01", **more)
        assert "LookAhead" in text
        assert "The weight of SPX at 2018-" in text
        assert "line 2" in text.lower()


async def test_several_symbols_share_the_account(client: Client) -> None:
    told = await figures(client, "run_backtest", strategy="sma_crossover", symbol="spx, ixic", start="2010-01-01")

    assert told["symbols"] == ["SPX", "IXIC"]
    assert "summed to more than 1" in told["notes"][0]
    trades = json.loads((await resource(client, told["trades_uri"])).text)["trades"]
    assert {trade["symbol"] for trade in trades} == {"SPX", "IXIC"}


async def test_a_pair_is_long_and_short_at_once(client: Client) -> None:
    told = await figures(client, "run_backtest", strategy="index_pair", symbol="SPX", start="2010-01-01")

    assert told["symbols"] == ["SPX", "IXIC"]
    trades = json.loads((await resource(client, told["trades_uri"])).text)["trades"]
    assert {trade["side"] for trade in trades} == {"long", "short"}


async def test_parts_are_measured_apart(client: Client) -> None:
    told = await figures(client, "run_backtest", **CROSSOVER, out_of_sample_percent=25)
    folded = await figures(client, "run_backtest", **CROSSOVER, folds=3)

    assert [(part["name"], part["to"]) for part in told["parts"]] == [
        ("in_sample", "2016-09-29"),
        ("out_of_sample", "2018-12-31"),
    ]
    assert [part["name"] for part in folded["parts"]] == ["fold 1", "fold 2", "fold 3"]


async def test_a_sweep_counts_its_runs_and_tells_how_far_the_best_is_to_be_believed(client: Client) -> None:
    seen: list[tuple[float, float | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    grid = {"fast": list(range(5, 35)), "slow": [60, 100]}
    result = await client.call_tool(
        "sweep_strategy", {**CROSSOVER, "grid": grid}, progress_callback=progress, read_timeout_seconds=90
    )

    told = result.structured_content
    assert told is not None
    assert len(seen) > 2
    assert (seen[0], seen[-1]) == ((0, 60), (60, 60))
    assert seen == sorted(seen)
    assert (told["runs"], len(told["table"]), len(told["best"])) == (60, 60, 5)
    column = told["columns"].index("in_sample_sharpe")
    assert [row[column] for row in told["table"]] == sorted((row[column] for row in told["table"]), reverse=True)
    assert told["chosen_on"]["to"] < told["judged_on"]["from"]
    assert told["verdict"].startswith("The best of 60 sets")
    assert len(json.dumps(told)) < 64 * 1024

    best = told["best"][0]
    alone = await figures(client, "run_backtest", **CROSSOVER, params=best["params"], out_of_sample_percent=30)
    assert [part["metrics"] for part in alone["parts"]] == [best["in_sample"], best["out_of_sample"]]
    assert await figures(client, "sweep_strategy", **CROSSOVER, grid=grid) == told


async def test_a_walk_forward_chooses_before_each_fold(client: Client) -> None:
    told = await figures(client, "sweep_strategy", **CROSSOVER, grid={"fast": [5, 20], "slow": [60, 100]}, folds=4)

    assert len(told["walk_forward"]) == 3
    for step in told["walk_forward"]:
        # What a client finds that chooses by hand on the bars before the fold.
        before = await figures(
            client,
            "sweep_strategy",
            **{**CROSSOVER, "end": step["to"]},
            grid={"fast": [5, 20], "slow": [60, 100]},
            out_of_sample_percent=told["bars"] / 4 / _bars_until(told, step) * 100,
        )
        assert before["best"][0]["params"] == step["params"]
        assert before["best"][0]["out_of_sample"]["sharpe"] == pytest.approx(step["after"])


def _bars_until(told: dict[str, Any], step: dict[str, Any]) -> float:
    """The bars of the range up to the end of this step's fold, of four equal ones."""
    folds: int = told["walk_forward"].index(step) + 2
    return float(told["bars"]) / 4 * folds


async def test_risk_is_judged_against_the_users_limits(client: Client) -> None:
    told = await figures(client, "run_backtest", **CROSSOVER)
    await answer(client, "set_preferences", values={"max_drawdown_percent": None, "max_position_percent": None})
    without = await figures(client, "assess_risk", backtest=told["id"])
    await answer(client, "set_preferences", values={"max_drawdown_percent": 2, "max_position_percent": 100})
    tight = await figures(client, "assess_risk", backtest=told["id"])
    await answer(client, "set_preferences", values={"max_drawdown_percent": 90})
    wide = await figures(client, "assess_risk", backtest=told["id"])

    assert without["within_limits"] is None
    assert "set_preferences" in without["verdict"]
    assert tight["within_limits"] is False
    assert tight["verdict"].startswith("Exceeds your limits: the account fell ")
    assert wide["within_limits"] is True
    assert tight["drawdown"]["percentiles"] == wide["drawdown"]["percentiles"]
    assert tight["drawdown"]["over_limit_percent"] > wide["drawdown"]["over_limit_percent"]
    assert wide["drawdown"]["bars"] == 252


async def test_errors_tell_a_model_what_to_do_next(client: Client) -> None:
    assert "SPX has no bars" in await refusal(client, "run_backtest", **{**CROSSOVER, "start": "2030-01-01"})
    assert "one bar" in await refusal(client, "run_backtest", **{**CROSSOVER, "start": "2018-12-31"})
    assert "not both" in await refusal(client, "run_backtest", **CROSSOVER, folds=2, out_of_sample_percent=20)
    assert "at least 20" in await refusal(client, "run_backtest", **{**CROSSOVER, "start": "2018-12-01"}, folds=2)
    assert "has no parameter 'speed'" in await refusal(client, "run_backtest", **CROSSOVER, params={"speed": 1})
    assert "made for SPX, IXIC" in await refusal(client, "run_backtest", strategy="index_pair", symbol="TSLA")
    assert "fee_bps" in await refusal(client, "run_backtest", **CROSSOVER, fee_bps=501)
    assert "has no values" in await refusal(client, "sweep_strategy", **CROSSOVER, grid={"fast": []})
    assert "it has: fast, slow, short" in await refusal(client, "sweep_strategy", **CROSSOVER, grid={})
    assert "10000 combinations, at most 200" in await refusal(
        client, "sweep_strategy", **CROSSOVER, grid={"fast": list(range(1, 101)), "slow": list(range(101, 201))}
    )
    assert "Ids come from run_backtest" in await refusal(client, "assess_risk", backtest="bt-none")


async def test_a_sweep_is_no_backtest(client: Client) -> None:
    swept = await figures(client, "sweep_strategy", **CROSSOVER, grid={"fast": [5]})

    assert "is a sweep" in await refusal(client, "get_backtest", id=swept["id"])
    assert "is a sweep" in await refusal(client, "assess_risk", backtest=swept["id"])
    assert json.loads((await resource(client, f"backtest://{swept['id']}")).text) == {**swept, "kind": "sweep"}


async def test_a_short_backtest_has_no_risk_to_speak_of(client: Client) -> None:
    told = await figures(client, "run_backtest", **{**CROSSOVER, "start": "2018-10-01"})

    assert "100 are needed" in await refusal(client, "assess_risk", backtest=told["id"])


async def test_a_cancelled_call_ends_the_strategy(server: RunningServer, client: Client) -> None:
    """Source: a computation that nobody waits for must not keep the workspace busy or a turn of the sandbox taken."""
    await answer(client, "save_strategy", name="endless", source=ENDLESS)
    begun = asyncio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with server.client() as other:
        call = asyncio.create_task(
            other.call_tool("run_backtest", {"strategy": "endless", "symbol": "SPX"}, progress_callback=progress)
        )
        await begun.wait()
        call.cancel()
        await asyncio.wait([call])

    async with asyncio.timeout(60):
        while (await asyncio.to_thread(get, server.activity_url)).json()["in_flight"]:
            pass
    assert (await figures(client, "run_backtest", **CROSSOVER))["metrics"]
