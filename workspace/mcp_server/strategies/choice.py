"""Which symbols a strategy is run on."""

from __future__ import annotations

from mcp_server.errors import BadSymbols
from mcp_server.strategies.contract import MOST_SYMBOLS
from mcp_server.strategies.versions import StrategyVersion


def chosen_symbols(strategy: StrategyVersion, wanted: str) -> list[str]:
    """The symbols in `wanted`, which commas separate; all that the strategy declares when it declares any.

    Raises BadSymbols for none, for too many and for one that the strategy is not made for.
    """
    symbols = list(dict.fromkeys(part for part in (each.strip() for each in wanted.split(",")) if part))
    if not 1 <= len(symbols) <= MOST_SYMBOLS:
        raise BadSymbols(f"{len(symbols)} symbols are given; give 1 to {MOST_SYMBOLS}, e.g. 'SPX' or 'SPX,IXIC'.")
    if not strategy.symbols:
        return symbols
    foreign = [symbol for symbol in symbols if symbol.upper() not in {each.upper() for each in strategy.symbols}]
    if foreign:
        raise BadSymbols(
            f"{strategy.name} is made for {', '.join(strategy.symbols)} and trades them together, not {foreign[0][:64]}. "
            f"Give symbol '{','.join(strategy.symbols)}', or change SYMBOLS in its source."
        )
    return list(strategy.symbols)
