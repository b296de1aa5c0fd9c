"""docs/channels.md is true of the tests that it names."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "channels.md"


def test_every_failure_in_the_table_names_tests_that_there_are() -> None:
    there = {name for file in HERE.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    table = PAGE.read_text().partition("## What a platform's failure becomes")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1])
        assert named, row
        assert set(named) <= there, row
