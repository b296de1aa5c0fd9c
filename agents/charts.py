"""The charts of backtests, which the user's workspace keeps: nothing of them is stored here."""

import re
from typing import cast

from accounts.licences import Licence
from agents.errors import Refused
from agents.lazy import load

BACKTEST = re.compile(r"bt-[0-9a-f]{4,40}")


def chart_url(backtest: str) -> str:
    """Where the page finds the chart of a backtest."""
    return f"/api/v1/backtests/{backtest}/chart.png"


async def read_chart(licence: Licence, backtest: str) -> bytes:
    """The PNG of one of the user's backtests; starts the workspace if need be. Raises Refused `not_found`, and AgentFailed."""
    if not BACKTEST.fullmatch(backtest):
        raise no_chart()
    reader = await load("agents.mcp.pictures")
    picture = cast("bytes | None", await reader.read_png(licence, f"backtest://{backtest}/chart.png"))
    if picture is None:
        raise no_chart()
    return picture


def no_chart() -> Refused:
    """There is none, or not of this user."""
    return Refused("not_found", "There is no such chart.")
