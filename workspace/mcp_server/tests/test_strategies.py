"""Strategies: versions that are kept, a bin, and what a model is told about a source."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from mcp.client import Client

from mcp_server.errors import StrategyRejected, TooManyStrategies, UnknownStrategy
from mcp_server.storage.database import Database
from mcp_server.strategies.shipped import shipped
from mcp_server.strategies.store import Bounds, Strategies, unified_diff
from mcp_server.tests.harness import USER, RunningServer, call, refusal, running_server

EMPTY = "def signals(bars):\n    return bars['close'] * 0\n"


def source_of(number: int) -> str:
    return f"def signals(bars, n={number}):\n    return bars['close'] * 0\n"


class KeptStrategies(RuleBasedStateMachine):
    """The store beside a dict of lists, on a real file that is opened again now and then."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.bounds = Bounds(in_bin=3)
        self.open()
        self.kept: dict[str, list[str]] = {}
        self.binned: dict[str, list[str]] = {}

    def open(self) -> None:
        self.database = Database(Path(self.folder.name), user=USER)
        self.strategies = Strategies(self.database, self.bounds)

    @rule(target=names, name=st.sampled_from(["a", "b", "c", "d", "e", "Sma_Crossover"]))
    def a_name(self, name: str) -> str:
        return name

    @rule(name=names, number=st.integers(0, 2))
    def save(self, name: str, number: int) -> None:
        key = name.lower()
        restored = key in self.binned
        if restored:
            self.kept[key] = self.binned.pop(key)
        sources = self.kept.setdefault(key, [])
        new = not sources or sources[-1] != source_of(number)

        saved = self.strategies.save(name, source_of(number))

        if new:
            sources.append(source_of(number))
        assert (saved.stored, saved.restored, saved.version.version) == (new, restored, len(sources))

    @rule(name=names)
    def delete(self, name: str) -> None:
        key = name.lower()
        assert self.strategies.delete(name) is (key in self.kept)
        if key in self.kept:
            self.binned[key] = self.kept.pop(key)
            if len(self.binned) > self.bounds.in_bin:
                self.binned.pop(next(iter(self.binned)))

    @rule(name=names)
    def restore(self, name: str) -> None:
        key = name.lower()
        if key in self.binned:
            self.kept[key] = self.binned.pop(key)
        if key in self.kept or key in shipped():
            assert self.strategies.restore(name).name == key
        else:
            with pytest.raises(UnknownStrategy):
                self.strategies.restore(name)

    @rule()
    def close_and_open(self) -> None:
        self.database.close()
        self.open()

    @invariant()
    def every_version_is_there(self) -> None:
        assert {each.name for each in self.strategies.newest()} == set(self.kept)
        assert self.strategies.bin() == list(reversed(self.binned))
        for name, sources in self.kept.items():
            assert [self.strategies.find(name, number + 1).source for number in range(len(sources))] == sources
            assert self.strategies.find(name).source == sources[-1]
            assert [line.version for line in self.strategies.versions(name)] == list(range(len(sources), 0, -1))

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


KeptStrategies.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_any_order_of_saving_deleting_and_restoring_keeps_every_version = KeptStrategies.TestCase


def test_a_version_is_named_by_the_digest_of_its_source(database: Database) -> None:
    saved = Strategies(database).save("Mine", EMPTY)

    assert saved.version.name == "mine"
    assert saved.version.digest == hashlib.sha256(EMPTY.encode()).hexdigest()


def test_an_own_strategy_takes_the_place_of_the_shipped_one_of_its_name(database: Database) -> None:
    strategies = Strategies(database)
    original = shipped()["sma_crossover"]

    copied = strategies.save("sma_crossover", original.source)
    strategies.save("SMA_Crossover", EMPTY)

    assert (copied.stored, copied.version.version, copied.version.digest) == (True, 1, original.digest)
    assert strategies.find("sma_crossover").source == EMPTY
    assert strategies.find("sma_crossover", 0) == strategies.find("sma_crossover@0") == original
    assert "sma_crossover" not in [each.name for each in strategies.examples()]
    strategies.delete("sma_crossover")
    assert strategies.find("sma_crossover") == original


def test_a_version_can_be_named_behind_the_name(database: Database) -> None:
    strategies = Strategies(database)
    for number in range(3):
        strategies.save("mine", source_of(number))

    assert strategies.find("Mine@2").source == source_of(1)


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("sma_crossovr", None, "Did you mean sma_crossover?"),
        ("mine", 9, "mine has no version 9. There are 1 to 1."),
        ("mine@9", None, "mine has no version 9"),
        ("mine@x", None, "No strategy 'mine@x'. Did you mean mine?"),
        ("gone", None, "gone is deleted. Bring it back with restore_strategy(name)."),
        ("mine", 0, "mine has no version 0"),
        ("sma_crossover", 1, "sma_crossover is a shipped example, which has no versions: leave out 1."),
    ],
)
def test_what_is_not_there_says_what_is(database: Database, name: str, version: int | None, told: str) -> None:
    strategies = Strategies(database)
    strategies.save("mine", EMPTY)
    strategies.save("gone", EMPTY)
    strategies.delete("gone")

    with pytest.raises(UnknownStrategy) as unknown:
        strategies.find(name, version)
    assert told in str(unknown.value)


def test_a_source_that_is_no_strategy_is_not_saved(database: Database) -> None:
    strategies = Strategies(database)

    with pytest.raises(StrategyRejected, match=r"Nothing was saved. NoSignals: line 1:"):
        strategies.save("mine", "x = 1")
    assert strategies.newest() == []


def test_what_is_kept_has_bounds_and_a_refusal_changes_nothing(database: Database) -> None:
    strategies = Strategies(database, Bounds(strategies=2, versions=2, in_bin=1, size_bytes=4 * len(source_of(0))))
    for name in ("a", "b"):
        strategies.save(name, source_of(0))

    with pytest.raises(TooManyStrategies, match="There are 2 strategies"):
        strategies.save("c", source_of(0))
    strategies.save("a", source_of(1))
    with pytest.raises(TooManyStrategies, match="a has 2 versions"):
        strategies.save("a", source_of(2))
    with pytest.raises(TooManyStrategies, match="no room"):
        strategies.save("b", source_of(1) + "#" * 1000)
    strategies.delete("b")
    strategies.save("c", source_of(0))
    with pytest.raises(TooManyStrategies):
        strategies.restore("b")
    assert (strategies.bin(), [each.name for each in strategies.newest()]) == (["b"], ["c", "a"])


def test_an_unchanged_source_can_be_described_anew(database: Database) -> None:
    strategies = Strategies(database)
    strategies.save("mine", EMPTY, description="First.")

    saved = strategies.save("mine", EMPTY, description="Second.")

    assert (saved.stored, saved.version.description) == (False, "Second.")
    assert strategies.find("mine").description == "Second."
    assert strategies.save("mine", EMPTY).version.description == "Second."


def test_a_diff_shows_the_lines_that_changed(database: Database) -> None:
    strategies = Strategies(database)
    for number in (1, 2):
        strategies.save("mine", source_of(number))

    diff = unified_diff(strategies.find("mine", 1), strategies.find("mine", 2))

    assert diff.splitlines()[:5] == [
        "--- mine version 1",
        "+++ mine version 2",
        "@@ -1,2 +1,2 @@",
        "-def signals(bars, n=1):",
        "+def signals(bars, n=2):",
    ]


async def test_a_strategy_is_saved_read_listed_deleted_and_restored(client: Client) -> None:
    first = await call(client, "save_strategy", name="Trend", source=source_of(1), description="One.")
    again = await call(client, "save_strategy", name="trend", source=source_of(1))
    second = await call(client, "save_strategy", name="trend", source=source_of(2))
    assert [(each["version"], each["stored"]) for each in (first, again, second)] == [(1, True), (1, False), (2, True)]

    got = await call(client, "get_strategy", name="TREND", diff_from=1)
    assert (got["source"], got["params"], [line["version"] for line in got["versions"]]) == (
        source_of(2),
        {"n": 2},
        [2, 1],
    )
    assert "+def signals(bars, n=2):" in got["diff"]
    assert (await call(client, "get_strategy", name="trend", version=1))["source"] == source_of(1)
    resource = json.loads((await client.read_resource("strategy://trend")).contents[0].text)  # type: ignore[union-attr]
    assert (resource["source"], resource["digest"]) == (source_of(2), second["digest"])

    listed = await call(client, "list_strategies")
    assert listed["strategies"][0]["name"] == "trend"
    assert {each["name"] for each in listed["strategies"] if each["shipped"]} == set(shipped())

    assert (await call(client, "delete_strategy", name="trend"))["deleted"] is True
    assert (await call(client, "delete_strategy", name="trend"))["deleted"] is False
    assert (await call(client, "list_strategies"))["deleted"] == ["trend"]
    assert "restore_strategy" in await refusal(client, "get_strategy", name="trend")
    assert (await call(client, "restore_strategy", name="trend"))["version"] == 2


@pytest.mark.parametrize("name", ["", "-a", "a b", "../a", "a" * 65, "ä", "a@1"])
async def test_a_name_that_is_none_is_refused(client: Client, name: str) -> None:
    assert "name: String should" in await refusal(client, "save_strategy", name=name, source=EMPTY)


async def test_saving_a_syntax_error_says_where_it_is(client: Client) -> None:
    told = await refusal(client, "save_strategy", name="bad", source="def signals(bars):\n    return (")

    assert "SyntaxError: line 2: '(' was never closed in `return (`" in told


async def test_the_same_save_at_once_from_many_makes_one_version(client: Client) -> None:
    saves = [call(client, "save_strategy", name="race", source=EMPTY) for _ in range(10)]

    assert sum(each["stored"] for each in await asyncio.gather(*saves)) == 1


async def test_validating_a_good_source_says_what_it_did(client: Client) -> None:
    found = await call(client, "validate_strategy", source=shipped()["index_pair"].source)

    assert (found["valid"], found["problems"], found["notes"]) == (True, [], [])
    assert found["params"] == {"window": 60, "entry": 2.0, "exit": 0.5}
    assert [(run["symbol"], run["bars"], run["last"]) for run in found["dry_runs"]] == [
        ("SPX", 500, "2018-12-31"),
        ("IXIC", 500, "2018-12-31"),
    ]
    assert all(0 < run["exposure"] < 1 and run["changes"] > 2 for run in found["dry_runs"])


@pytest.mark.parametrize("name", shipped())
async def test_every_shipped_example_is_valid(client: Client, name: str) -> None:
    found = await call(client, "validate_strategy", source=shipped()[name].source)

    assert (found["valid"], found["notes"]) == (True, [])


@pytest.mark.parametrize(
    ("source", "name", "line"),
    [
        ("def signals(bars) return 0", "SyntaxError", 1),
        ("def signals(bars, n): return 0", "BadParameter", 1),
        ("def signals(bars):\n    return bars['close'].mean()", "WrongLength", 2),
        ("def signals(bars):\n    return bars['close']", "OutOfRange", 2),
        ("def signals(bars):\n    return bars['close'].shift(-1) > bars['close']", "LookAhead", 2),
        ("def signals(bars):\n    return bars['clse']", "KeyError", 2),
        ("import no_such_module\ndef signals(bars): return 0", "ModuleNotFoundError", 1),
        ("def signals(bars):\n    return open('/etc/passwd').read()", "Forbidden", None),
        ("import threading\ndef signals(bars):\n    threading.Thread(target=print).start()", "Forbidden", None),
        ("import urllib.request as web\ndef signals(bars):\n    web.urlopen('http://192.0.2.1')", "Forbidden", None),
        ("import tempfile\ndef signals(bars):\n    tempfile.mkstemp(dir='/var/tmp')", "Forbidden", None),
        ("def signals(bars):\n    open('big', 'wb').truncate(10**10)", "OutputTooLarge", None),
        ("def signals(bars):\n    import os\n    os._exit(0)", "JobDied", None),
        ("SYMBOLS = ['NOPE']\ndef signals(bars): return 0", "UnknownSymbol", None),
    ],
)
async def test_each_problem_of_a_source_is_named_with_its_line(
    client: Client, source: str, name: str, line: int | None
) -> None:
    found = await call(client, "validate_strategy", source=source)

    assert not found["valid"]
    assert [(problem["name"], problem["line"]) for problem in found["problems"]] == [(name, line)]
    assert not re.search(r"/(work|tmp|etc|var)\b", found["problems"][0]["message"])


async def test_a_strategy_that_never_trades_is_noted(client: Client) -> None:
    found = await call(client, "validate_strategy", source="def signals(bars): return bars['close'] * float('nan')")

    assert found["valid"]
    assert [note.split(" ")[0] for note in found["notes"]] == ["It", "100%"]


async def test_a_line_that_is_written_like_a_look_ahead_is_noted_and_not_refused(client: Client) -> None:
    source = (
        "def signals(bars):\n    close = bars['close']\n    top = close.max()\n    return (close > 0).astype(float)"
    )

    found = await call(client, "validate_strategy", source=source)

    assert found["valid"]
    (note,) = found["notes"]
    assert note.startswith(
        "Line 3: `close.max()` is a figure over all bars, later ones too. The look-ahead check found no"
    )


FORGERIES = [
    "Result({'problems': 'none', 'undefined': {}})",
    "Result({'problems': [], 'undefined': {}}, {'0/SPX': np.full(500, 7.0)})",
    "Result({'problems': [], 'undefined': {}}, {'0/SPX': np.zeros(3)})",
    "Result({'problems': [], 'undefined': {}}, {'0/SPX': np.full(500, np.nan)})",
    "Result({}, {})",
]


@pytest.mark.parametrize("forged", FORGERIES)
async def test_a_strategy_that_forges_its_runners_answer_is_not_believed(client: Client, forged: str) -> None:
    """Source: strategy code shares a process with the runner and can replace it."""
    source = f"""
import sys
import numpy as np
from mcp_server.jobs import signals as job
from mcp_server.jobs.contract import Result
class Forged(Exception): pass
def signals(bars):
    job.Result = lambda *_, **__: {forged}
    return bars["close"] * 0
"""
    found = await call(client, "validate_strategy", source=source)

    assert [problem["name"] for problem in found["problems"]] == ["JobDied"]


async def test_a_killed_server_has_every_acknowledged_version(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """Source: nothing acknowledged is missing after kill -9, and a version is whole or absent."""
    acknowledged: list[dict[str, Any]] = []

    async def save_until_cut(server: RunningServer) -> None:
        async with server.client() as client:
            for number in count():
                acknowledged.append(await call(client, "save_strategy", name="mine", source=source_of(number)))
                if number == 15:
                    server.process.kill()

    with running_server(tmp_path, key) as first, pytest.raises(BaseExceptionGroup) as cut:
        await save_until_cut(first)
    assert cut.group_contains(httpx2.TransportError)

    with running_server(tmp_path, key) as second:
        async with second.client() as client:
            for each in acknowledged:
                got = await call(client, "get_strategy", name="mine", version=each["version"])
                assert hashlib.sha256(got["source"].encode()).hexdigest() == each["digest"] == got["digest"]
