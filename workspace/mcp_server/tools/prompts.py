"""Prompts: the usual jobs, said so that any client's model does them with this workspace's tools.

Each names the tools in their order, what has to be shown to the user, and what may not be done without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import Message
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, InputRequiredResult
from pydantic import Field, ValidationError

from mcp_server.tools.offer import explain

# A name stands in the middle of a sentence.
ONE_LINE = r"^[^\x00-\x1f\x7f\u2028\u2029]+$"

Symbol = Annotated[
    str,
    Field(max_length=64, pattern=ONE_LINE, description="Symbol or name of the instrument, e.g. 'SPX' or 'S&P 500'."),
]
Strategy = Annotated[
    str,
    Field(max_length=64, pattern=ONE_LINE, description="Name of a strategy of this workspace, e.g. 'sma_crossover'."),
]

HONEST = (
    "Take every figure from a tool's result, never from memory, and say for which dates it holds. "
    "Say plainly what the data can't show. This is no financial advice, and past results promise nothing."
)


def analyse_symbol(
    symbol: Symbol,
    question: Annotated[
        str,
        Field(max_length=400, description="What to look at above all, e.g. 'Is the trend still up?'."),
    ] = "What stands out, and what would change the picture?",
) -> str:
    """Look at one instrument: trend, momentum, volatility and levels, with a chart and the dates it is for."""
    return f"""Analyse {symbol} for me. My question: {question}

1. Read `context://profile` and `context://preferences`: what I trade, my time horizon, my risk limits.
2. `get_bars` for {symbol}; when the symbol is unknown, `list_instruments` shows what there is.
3. `compute_indicators`: a trend (SMA of 50 and 200), a momentum (RSI of 14), a volatility (ATR of 14), with the chart.
4. Answer in this order: the answer to my question in one sentence; trend, momentum, volatility with their numbers; the two
   or three levels that matter and why; what would prove this reading wrong.

{HONEST}"""


def write_strategy(
    idea: Annotated[
        str,
        Field(
            max_length=1000,
            description="The idea in plain words, e.g. 'Buy when RSI(2) is under 10 and sell when it is over 60'.",
        ),
    ],
    symbol: Symbol,
) -> str:
    """Turn an idea in plain words into a strategy that is validated, saved and backtested."""
    return f"""Write a strategy from this idea and test it on {symbol}: {idea}

1. `list_strategies` and `get_strategy` of a shipped example show the contract: `signals(bars, **params)` gives the target weight
   for each bar, from -1 to 1. Each number of the idea becomes a parameter with a default.
2. When the idea can be read in two ways, ask me before you write code.
3. `validate_strategy` until it finds nothing; then `save_strategy` under a short new name with one sentence of description.
4. `run_backtest` on {symbol} with fees and slippage, then `assess_risk` of that backtest.
5. Show me the source, the metrics beside buying and holding, the chart, and the weakest point of the idea. Deploy nothing.

{HONEST}"""


def improve_strategy(
    strategy: Strategy,
    symbol: Symbol,
    goal: Annotated[
        str, Field(max_length=400, description="What to make better, e.g. 'a smaller drawdown'.")
    ] = "a better return for the same risk",
) -> str:
    """Find out what holds a strategy back, change one thing at a time and keep what also works out of sample."""
    return f"""Improve the strategy {strategy} on {symbol}. The goal: {goal}.

1. `get_strategy` for its source; `run_backtest` as it is, with fees and slippage and with part of the range held out of sample.
   This is the mark to beat.
2. `assess_risk` of it, and look where it loses: which years, which trades, how much goes to fees.
3. Name at most three causes and one change for each. Change one thing at a time and test it on the same range.
4. For numbers use `sweep_strategy` with a coarse grid. Take a value from a plateau, never a lonely peak, and count it only
   when it is also better out of sample.
5. Show a table of all that was tried, also what failed, with in-sample and out-of-sample figures. `save_strategy` writes the
   next version only after I have chosen.

{HONEST}"""


def check_risk(strategy: Strategy, symbol: Symbol) -> str:
    """Say in plain words what a strategy can cost, held against the limits that the user has stated."""
    return f"""How much can {strategy} on {symbol} cost me?

1. `get_preferences` for my limits; when I have stated none, ask for the largest loss that I can bear.
2. `run_backtest` with fees and slippage, then `assess_risk` of it.
3. Tell me in plain words, with the numbers behind them: a bad day, a bad month, the worst drawdown and how long it took to come
   back, how often a drawdown beyond my limit is to be expected.
4. End with one of: within my limits, at their edge, beyond them; and what position size would keep it within.

{HONEST}"""


def review_deployments() -> str:
    """Go through the paper deployments: what each did since its start, and whether that still fits its backtest."""
    return f"""Review my paper deployments.

1. `list_deployments`. When there are none, say so and stop.
2. For each live one: its position and result since its start, beside what `run_backtest` of the same strategy, parameters and
   symbol gives for the same dates and for a long range.
3. Sort them into: as expected, worth watching, out of line with its backtest. Give the number that decides.
4. Recommend what to stop, if anything. Call `stop_deployment` only after I have said yes to that one.

{HONEST}"""


def review_watchlist() -> str:
    """A short report over the instruments of the watchlist: what moved, what is near a signal, what to look at."""
    return f"""Give me a short report on my watchlist.

1. `get_preferences` for the watchlist; when it is empty, ask which instruments I follow and offer to keep them.
2. For each: `get_bars` for the last month and `compute_indicators` with SMA of 50 and 200 and RSI of 14.
3. One line each: last close with its date, change over a day and a month, place relative to both averages, RSI. Then at most
   three sentences on what deserves a closer look, and why.

{HONEST}"""


PROMPTS: dict[str, Callable[..., str]] = {
    "Analyse a symbol": analyse_symbol,
    "Write a strategy": write_strategy,
    "Improve a strategy": improve_strategy,
    "Check a strategy's risk": check_risk,
    "Review paper deployments": review_deployments,
    "Review the watchlist": review_watchlist,
}


class StrictPrompt(Prompt):
    """A prompt that says what is wrong with its arguments; the SDK would only say that it failed."""

    async def render(
        self, arguments: dict[str, Any] | None, context: Context[Any, Any]
    ) -> list[Message] | InputRequiredResult:
        try:
            return await super().render(arguments, context)
        except ValueError as error:
            reason = str(error)
            if isinstance(error.__cause__, ValidationError):
                names = {"properties": {argument.name: None for argument in self.arguments or ()}}
                reason = explain(error.__cause__, names)
            raise MCPError(INVALID_PARAMS, f"Wrong arguments for {self.name}: {reason}") from error


def add_prompts(server: MCPServer[Any]) -> None:
    """Register all of them."""
    for title, prompt in PROMPTS.items():
        server.add_prompt(StrictPrompt.from_function(prompt, title=title))
