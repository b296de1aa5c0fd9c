"""The sets of parameters that a sweep tries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from mcp_server.errors import BadGrid
from mcp_server.strategies.contract import Plain, read_contract, resolve_params
from mcp_server.strategies.versions import StrategyVersion

MOST_RUNS = 200


def runs_of(strategy: StrategyVersion, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Plain]]:
    """Every combination of the grid's values, each once, with the other parameters at their defaults.

    Raises BadGrid, BadStrategyParams.
    """
    if not grid:
        known = ", ".join(strategy.params) or "none"
        raise BadGrid(f"The grid is empty. Name parameters of {strategy.name} and values to try; it has: {known}.")
    empty = [name for name, values in grid.items() if not values]
    if empty:
        raise BadGrid(f"{empty[0]} has no values. Give at least one, e.g. {{'{empty[0]}': [10, 20]}}.")
    count = math.prod(len(values) for values in grid.values())
    if count > MOST_RUNS:
        raise BadGrid(f"The grid has {count} combinations, at most {MOST_RUNS} are run. Give fewer values.")
    contract = read_contract(strategy.source)
    runs = [resolve_params(contract, dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
    # 10 and 10.0 are one value of a parameter that counts bars.
    return list({tuple(run.items()): run for run in runs}.values())
