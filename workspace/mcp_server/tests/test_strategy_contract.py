"""What a source declares, read without running it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.errors import BadStrategyParams
from mcp_server.strategies.contract import read_contract, resolve_params


def problems(source: str) -> list[tuple[str, int | None]]:
    return [(problem.name, problem.line) for problem in read_contract(source).problems]


def test_params_are_the_defaults_in_their_order_and_types() -> None:
    contract = read_contract(
        "def signals(bars, fast=10, size=0.5, *, short=False, kind='sma', shift=-1):\n    return bars"
    )

    assert contract.problems == ()
    assert list(contract.params.items()) == [
        ("fast", 10),
        ("size", 0.5),
        ("short", False),
        ("kind", "sma"),
        ("shift", -1),
    ]
    assert not contract.any_params


@pytest.mark.parametrize(
    ("source", "description"),
    [
        ('"""Buy low.\n\nSell high."""\ndef signals(bars): return 0', "Buy low."),
        ('def signals(bars):\n    """Buy\n    low."""', "Buy low."),
        ('"""Module."""\nDESCRIPTION = "Said."\ndef signals(bars): return 0', "Said."),
        ("def signals(bars): return 0", ""),
    ],
)
def test_a_description_is_what_the_author_said_first(source: str, description: str) -> None:
    assert read_contract(source).description == description


def test_symbols_are_a_list_in_the_source() -> None:
    assert read_contract('SYMBOLS = ["SPX", "IXIC"]\ndef signals(bars): return 0').symbols == ("SPX", "IXIC")
    assert read_contract('SYMBOLS: list[str] = ("SPX",)\ndef signals(bars): return 0').symbols == ("SPX",)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def signals(bars):\n    return bars[", [("SyntaxError", 2)]),
        ("def signals(bars):\nreturn 1", [("SyntaxError", 2)]),
        ("x = 1\nreturn x", [("SyntaxError", 2)]),
        ("def signals(bars): return '\0'", [("SyntaxError", 1)]),
        ("", [("NoSignals", 1)]),
        ("\n\ndef signal(bars): return 0", [("NoSignals", 3)]),
        ("class signals: pass", [("NotAFunction", 1)]),
        ("\nasync def signals(bars): return 0", [("NotAFunction", 2)]),
        ("def signals(): return 0", [("NoBars", 1)]),
        ("def signals(bars=None): return 0", [("NoBars", 1)]),
        ("def signals(bars, n): return 0", [("BadParameter", 1)]),
        ("def signals(\n    bars,\n    n=None,\n    m=[1],\n): return 0", [("BadParameter", 3), ("BadParameter", 4)]),
        ("def signals(bars, *more): return 0", [("BadParameter", 1)]),
        ("def signals(bars, n=1e999): return 0", [("BadParameter", 1)]),
        (f"def signals(bars, n={10**400}): return 0", [("BadParameter", 1)]),
        ("def signals(bars): return 0\nSYMBOLS = 'SPX'", [("BadSymbols", 2)]),
        ("SYMBOLS = []\ndef signals(bars): return 0", [("BadSymbols", 1)]),
        ("SYMBOLS = [x for x in 'ab']\ndef signals(bars): return 0", [("BadSymbols", 1)]),
    ],
)
def test_each_problem_has_a_name_and_its_line(source: str, found: list[tuple[str, int]]) -> None:
    assert problems(source) == found


def test_a_syntax_error_shows_the_line_and_the_column() -> None:
    (problem,) = read_contract("def signals(bars):\n    if bars = 1:\n        pass").problems

    assert (problem.line, problem.column) == (2, 8)
    assert "if bars = 1:" in problem.message


def test_a_function_with_nearly_the_name_is_pointed_at() -> None:
    (problem,) = read_contract("def signal(bars): return 0").problems

    assert "Rename signal to signals" in problem.message


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_read_and_nothing_else_happens(text: str) -> None:
    assert isinstance(read_contract(text).problems, tuple)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 30_000,
        "-" * 60_000 + "1",
        "a" + ".a" * 30_000,
        "1" + "+1" * 30_000,
        "x=" * 30_000 + "1",
        "not " * 16_000 + "1",
        "lambda:" * 9_000 + "1",
        "[" * 32_000 + "]" * 32_000,
        "if 1:\n" + " if 1:\n" * 3_000,
        "x = " + "9" * 60_000,
    ],
    ids=lambda source: str(source)[:6],
)
def test_deep_sources_are_refused_and_not_the_end_of_the_server(source: str) -> None:
    """Source: 64 KiB of nesting overflow the C stack of some parsers."""
    assert read_contract(source).problems


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, {"n": 10, "size": 0.5, "short": False, "kind": "sma"}),
        ({"n": 20.0, "size": 1}, {"n": 20, "size": 1.0, "short": False, "kind": "sma"}),
        ({"short": True, "kind": "ema"}, {"n": 10, "size": 0.5, "short": True, "kind": "ema"}),
    ],
)
def test_params_take_the_type_of_their_default(given: dict[str, Any], chosen: dict[str, Any]) -> None:
    contract = read_contract("def signals(bars, n=10, size=0.5, short=False, kind='sma'): return 0")

    found = resolve_params(contract, given)

    assert found == chosen
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in chosen.items()}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"slow": 1}, "no parameter 'slow'. There are: n, size, short, kind"),
        ({"n": 1.5}, "n is 1.5; its default 10 says that it is int"),
        ({"n": True}, "n is True"),
        ({"short": 1}, "short is 1; its default False says that it is bool"),
        ({"kind": 3}, "kind is 3"),
        ({"size": "x"}, "size is 'x'"),
        ({"size": float("nan")}, "size is nan"),
        ({"n": 10**400}, "n is 1000"),
    ],
)
def test_what_is_no_parameter_is_refused(given: dict[str, Any], told: str) -> None:
    contract = read_contract("def signals(bars, n=10, size=0.5, short=False, kind='sma'): return 0")

    with pytest.raises(BadStrategyParams) as refused:
        resolve_params(contract, given)
    assert told in str(refused.value)


def test_a_strategy_that_takes_any_params_is_given_them() -> None:
    contract = read_contract("def signals(bars, n=10, **params): return 0")

    assert resolve_params(contract, {"other": 3}) == {"n": 10, "other": 3}
