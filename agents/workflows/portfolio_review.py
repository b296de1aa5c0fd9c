"""Portfolio review: how the paper deployments stand, against the limits that the user has stated."""

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel

from agents.errors import ToolRefused
from agents.prompts import prompt
from agents.workflows import END, JSON, Left, Workflow

if TYPE_CHECKING:
    from agents.workflow_desk import Desk

START_EQUITY = 100_000.0


class Nothing(BaseModel):
    """A review needs no input."""

    focus: str = ""


async def read(desk: "Desk", values: JSON) -> Left:  # noqa: ARG001 - the first step finds nothing
    """What runs, and which limits there are."""
    deployments = (await desk.values_of("list_deployments")).get("deployments", [])
    try:
        limits = await desk.values_of("get_preferences")
    except ToolRefused:
        # A server set by staff need not keep any.
        limits = {}
    running = [each for each in deployments if each["state"] == "running"]
    return Left({"running": running, "ended": len(deployments) - len(running), "limits": limits})


async def check(desk: "Desk", values: JSON) -> Left:
    """Every limit against every account, by arithmetic: a model only puts it into words."""
    if not values["running"]:
        await desk.say(
            "No strategy is deployed, so there is nothing to review. `/analyse` tests one and proposes its deployment."
        )
        return Left(then=END)
    return Left({"accounts": [_account(each, values["limits"]) for each in values["running"]]})


async def summarise(desk: "Desk", values: JSON) -> Left:
    """A summary in words, written by the model from the figures."""
    facts = {
        "accounts": values["accounts"],
        "ended_deployments": values["ended"],
        "focus": values["inputs"].get("focus", ""),
    }
    await desk.ask_model(
        prompt("portfolio_review").text, f"Portfolio facts:\n{json.dumps(facts, indent=1)}", aloud=True
    )
    return Left()


def _account(deployment: JSON, limits: JSON) -> JSON:
    equity = deployment["equity"] or 1.0
    shares = {each["symbol"]: round(100 * each["value"] / equity, 2) for each in deployment["positions"]}
    return {
        # A shipped strategy has no versions.
        "strategy": deployment["strategy"] + (f" v{deployment['version']}" if deployment["version"] else ""),
        "id": deployment["id"],
        "symbols": deployment["symbols"],
        "since": deployment["since"],
        "last_bar": deployment["last_bar"],
        "equity": round(deployment["equity"], 2),
        "profit": round(deployment["equity"] - START_EQUITY, 2),
        "return_percent": round(deployment["return_percent"], 2),
        "position_percent_of_equity": shares,
        "last_error": deployment["last_error"],
        "limits": _checks(deployment, shares, limits),
    }


def _checks(deployment: JSON, shares: JSON, limits: JSON) -> list[str]:
    """What is beyond a stated limit, in sentences; what can't be judged from the figures here is left out."""
    found = []
    largest = max((abs(share) for share in shares.values()), default=0.0)
    if (cap := limits.get("max_position_percent")) is not None and largest > cap:
        found.append(f"The largest position is {largest:.1f} % of the account; your limit is {cap:g} %.")
    loss = -deployment["return_percent"]
    if (cap := limits.get("max_drawdown_percent")) is not None and loss > cap:
        found.append(f"The account has lost {loss:.1f} %; your limit is {cap:g} %.")
    gross = sum(abs(share) for share in shares.values()) / 100
    if (cap := limits.get("max_leverage")) is not None and gross > cap:
        found.append(f"Positions are {gross:.2f} times the account; your limit is {cap:g} times.")
    return found


WORKFLOW = Workflow(
    name="portfolio_review",
    label="Portfolio review",
    description=(
        "Review the person's running paper deployments: positions, profit, and whether they are within the person's limits."
        " It takes over the answer: call it alone, and last."
    ),
    inputs=Nothing,
    from_words=lambda text: {"focus": text},
    steps=(read, check, summarise),
)
