"""The examples that come with the workspace: each file of `examples/` is a strategy of the file's name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mcp_server import __version__
from mcp_server.strategies.versions import StrategyVersion

EXAMPLES = Path(__file__).with_name("examples")

# An own strategy's versions count from 1.
SHIPPED_VERSION = 0


@cache
def shipped() -> dict[str, StrategyVersion]:
    """The examples by name, in the order of their names."""
    return {path.stem: _read(path) for path in sorted(EXAMPLES.glob("[a-z]*.py"))}


def _read(path: Path) -> StrategyVersion:
    source = path.read_text(encoding="utf-8")
    return StrategyVersion.of(path.stem, source, version=SHIPPED_VERSION, created_at=f"shipped with {__version__}")
