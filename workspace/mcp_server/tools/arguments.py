"""Arguments that backtests and deployments take alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_server.strategies.contract import LARGEST_INTEGER, MOST_PARAMS

MOST_BPS = 500.0

StrategyWanted = Annotated[
    str,
    Field(
        min_length=1,
        max_length=80,
        description="Name of a saved or shipped strategy, e.g. 'sma_crossover'; 'name@3' is its version 3.",
    ),
]
Symbols = Annotated[
    str,
    Field(
        min_length=1,
        max_length=330,
        description="Symbol or name of the instrument, e.g. 'SPX'; several with commas, e.g. 'SPX,IXIC', at most 10.",
    ),
]
ParamValue = (
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True, ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
    | Annotated[float, Field(strict=True, allow_inf_nan=False)]
    | Annotated[str, Field(max_length=200)]
)
Params = Annotated[
    Annotated[dict[str, ParamValue], Field(max_length=MOST_PARAMS)] | None,
    Field(description="Parameters of the strategy by name; those left out have their default. E.g. {'fast': 20}."),
]
Fee = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_BPS,
        allow_inf_nan=False,
        description="Fee in basis points of the traded value, e.g. 5 = 0.05 percent.",
    ),
]
Slippage = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_BPS,
        allow_inf_nan=False,
        description="How much worse than the open an order is filled, in basis points.",
    ),
]
