"""docs/channels.md is true of the tests and payloads that it names, and its table has every failure of every platform."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from channels_app.tests.payloads import PLATFORMS, names

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "channels.md"
# In the table's words.
TELEGRAM, SLACK, DISCORD, CALLBACK = "Telegram", "Slack", "Discord", "a callback"
APPS = frozenset({TELEGRAM, SLACK, DISCORD})
ALL = APPS | {CALLBACK}
# What a test module imports says whose platform it drives.
DRIVES = {
    "channels_app.tests.chats.bot_api": {TELEGRAM},
    "channels_app.tests.doubles.telegram": {TELEGRAM},
    "channels_app.tests.doubles.slack": {SLACK},
    "channels_app.tests.doubles.discord": {DISCORD},
    "channels_app.tests.doubles.callback": {CALLBACK},
    "channels_app.tests.payloads": APPS,
}
# Each documented failure, by words of its row, and the platforms that have it.
FAILURES = {
    "429 with its wait": ALL,
    "blocked": ALL,
    "too long": ALL,
    "message is not modified": {TELEGRAM},
    "can't parse entities": {TELEGRAM},
    "the interaction is over": {DISCORD},
    "the stream is closed": {SLACK},
    "the connection breaks after a send": ALL,
    "the same message ten times": ALL,
    "a later message before an earlier one": ALL,
    "wrong or missing signature": ALL,
    "replayed signature": ALL - {TELEGRAM},
    "a body over 1 MiB": ALL,
    "another content type": ALL,
    "posts of groups and channels": APPS,
    "of our own": APPS,
}


@dataclass(frozen=True)
class Row:
    """A row of the table: what happens, where, and what shows it."""

    what: str
    where: frozenset[str]
    tests: tuple[str, ...]
    payloads: tuple[tuple[str, str], ...]


def read_rows() -> list[Row]:
    table = PAGE.read_text(encoding="utf-8").partition("## What a platform's failure becomes")[2]
    found = []
    for line in [line for line in table.splitlines() if line.startswith("| ")][1:]:
        what, _, shown = (cell.strip() for cell in line.strip("|").split("|"))
        named = frozenset(each for each in ALL if re.search(rf"(^|[,;] ){each}(:|,)", what))
        payloads = re.findall(r"`([a-z]+)/([a-z_]+)`", shown)
        found.append(Row(what, named or ALL, tuple(re.findall(r"`(test_\w+)`", shown)), tuple(payloads)))
    return found


def known_tests() -> dict[str, frozenset[str]]:
    """Each test, and the platforms that it drives."""
    found: dict[str, frozenset[str]] = {}
    for file in HERE.rglob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        platforms = frozenset[str]().union(*(driven for module, driven in DRIVES.items() if module in imported))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                # The shared fixtures run over all channels; a module may have its own of these names.
                shared = {argument.arg for argument in node.args.args} & {"driver", "chat"} - own
                found[node.name] = found.get(node.name, frozenset()) | (ALL if shared else platforms)
    return found


ROWS = read_rows()
TESTS = known_tests()


def test_the_table_is_read() -> None:
    assert len(ROWS) > 20
    assert len(TESTS) > 200


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_row_names_tests_that_there_are_for_each_of_its_platforms(row: Row) -> None:
    assert row.tests
    assert set(row.tests) <= set(TESTS)
    driven = frozenset[str]().union(*(TESTS[name] for name in row.tests))
    assert row.where <= driven


@pytest.mark.parametrize("row", [row for row in ROWS if row.payloads], ids=lambda row: row.what)
def test_a_row_names_payloads_that_there_are_of_each_of_its_platforms(row: Row) -> None:
    assert {platform.capitalize() for platform, _ in row.payloads} == row.where
    assert [(platform, name) for platform, name in row.payloads if name not in names(platform)] == []


@pytest.mark.parametrize(("words", "where"), FAILURES.items())
def test_every_documented_failure_has_its_row(words: str, where: frozenset[str]) -> None:
    found = [row for row in ROWS if words in row.what]

    assert found
    assert where <= frozenset[str]().union(*(row.where for row in found))


def test_the_payloads_are_of_the_platforms_that_the_table_names() -> None:
    assert {platform.capitalize() for platform in PLATFORMS} == APPS
