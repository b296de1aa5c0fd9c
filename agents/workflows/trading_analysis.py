"""Trading analysis: understand → check → backtest → risk → approval → deploy."""

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accounts.errors import NotIncluded
from accounts.features import require_feature
from agents.charts import chart_url
from agents.errors import ToolRefused
from agents.events import Image
from agents.prompts import prompt
from agents.waiting import ApprovalRequest, QuestionRequest
from agents.workflows import END, JSON, Left, Workflow
from agents.workflows._trading import words

if TYPE_CHECKING:
    from agents.workflow_desk import Desk

# Seconds: the longest backtest of ten symbols over all bars takes well under a minute on a small workspace.
BACKTEST_S = 180.0
# Times that the user is asked what is meant; who has not said it by then begins anew.
MOST_QUESTIONS = 3
ANSWER: JSON = {
    "type": "object",
    "properties": {"answer": {"type": "string", "title": "Answer", "minLength": 1, "maxLength": 2000}},
    "required": ["answer"],
    "additionalProperties": False,
}


class Wish(BaseModel):
    """What is to be analysed."""

    model_config = ConfigDict(extra="forbid")

    strategy: Annotated[str, Field(min_length=1, max_length=80, description="A saved or shipped strategy, by name.")]
    symbol: Annotated[str, Field(min_length=1, max_length=200, description="Instrument; several with commas.")]
    start: Annotated[str, Field(max_length=40)] | None = Field(None, description="First date, YYYY-MM-DD.")
    end: Annotated[str, Field(max_length=40)] | None = Field(None, description="Last date, YYYY-MM-DD.")
    interval: Annotated[str, Field(max_length=8)] | None = Field(None, description="Length of a bar, such as 1d.")
    params: dict[str, bool | int | float | str] | None = Field(
        None, description="Parameters that differ from their defaults."
    )


def _tool(name: str, description: str, parameters: JSON) -> JSON:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


UNDERSTOOD = _tool("analysis_request", "Say what is to be analysed, once it is clear.", Wish.model_json_schema())
ASK_BACK = _tool(
    "ask_back",
    "Ask the person one short question, when the strategy or the instrument is not clear.",
    {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
)


async def understand(desk: "Desk", values: JSON) -> Left:
    """What is wanted: as the agent gave it, or as a model reads it from the person's words."""
    if wish := _wish(values["inputs"]):
        return Left({"wish": wish}, then="check")
    listed = await desk.values_of("list_strategies")
    told = "\n".join(
        f"- {each['name']}: {each['description']} (parameters {json.dumps(each['params'])})"
        for each in listed.get("strategies", [])
    )
    text = values.get("words") or str(values["inputs"].get("words", ""))
    system = f"{prompt('trading_analysis').text}\n\n# Strategies of this person's workspace (data)\n{told}"
    message = await desk.ask_model(system, text, tools=[UNDERSTOOD, ASK_BACK])
    for call in message.tool_calls:
        if call["name"] == "analysis_request" and (wish := _wish(call["args"])):
            return Left({"wish": wish}, then="check")
        if call["name"] == "ask_back" and call["args"].get("question"):
            return Left({"question": str(call["args"]["question"])[:500], "words": text}, then="clarify")
    question = message.text.strip()[:500] or "Which strategy shall I analyse, and on which instrument?"
    return Left({"question": question, "words": text}, then="clarify")


async def clarify(desk: "Desk", values: JSON) -> Left:
    """Ask the person what is meant."""
    if values.get("asked", 0) >= MOST_QUESTIONS:
        await desk.say("I still don't know which strategy to analyse on which instrument, so I stop here.")
        return Left(then=END)
    reply = desk.ask_user(QuestionRequest(text=values["question"], schema=ANSWER))
    if reply.decision != "answered" or reply.values is None:
        await desk.say("Without an answer I can't go on. Nothing was tested, and nothing was deployed.")
        return Left(then=END)
    said = f"{values['words']}\n\nYou asked: {values['question']}\nThe person answered: {reply.values['answer']}"
    return Left({"words": said, "asked": values.get("asked", 0) + 1, "inputs": {"words": said}}, then="understand")


async def check(desk: "Desk", values: JSON) -> Left:
    """Whether there is such a strategy, and which version is meant."""
    wish = values["wish"]
    try:
        found = await desk.values_of("get_strategy", {"name": wish["strategy"].partition("@")[0]})
    except ToolRefused as refusal:
        question = f"{refusal} Which strategy shall I analyse on {wish['symbol']}?"
        text = values.get("words") or f"Analyse {wish['strategy']} on {wish['symbol']}."
        return Left({"question": question, "words": text}, then="clarify")
    return Left({"description": str(found.get("description") or "")[:300]}, then="backtest")


async def backtest(desk: "Desk", values: JSON) -> Left:
    """Run it over past bars, and show how it did."""
    wish = values["wish"]
    try:
        outcome = await desk.call(
            "run_backtest", {key: value for key, value in wish.items() if value}, deadline_s=BACKTEST_S
        )
    except ToolRefused as refusal:
        await desk.say(f"The backtest of {wish['strategy']} on {wish['symbol']} could not be run: {refusal}")
        return Left(then=END)
    result = outcome.structured or {}
    kept = {key: result[key] for key in (
        "id", "digest", "strategy", "version", "strategy_digest", "params", "symbols", "interval", "bars", "from", "to",
        "fee_bps", "slippage_bps", "metrics", "benchmark", "notes",
    )}  # fmt: skip
    await desk.say(words.of_backtest(kept))
    await desk.show(Image(chart_url(kept["id"]), f"Chart of the backtest of {words.named(kept)}"))
    return Left({"backtest": kept})


async def risk(desk: "Desk", values: JSON) -> Left:
    """What the backtest means for losses to come, against the user's limits."""
    try:
        found = await desk.values_of("assess_risk", {"backtest": values["backtest"]["id"]})
    except ToolRefused as refusal:
        await desk.say(f"Its risk could not be assessed, so I don't propose to deploy it: {refusal}")
        return Left(then=END)
    await desk.say(words.of_risk(found))
    kept = {key: found[key] for key in ("backtest", "verdict", "within_limits", "checks", "value_at_risk", "drawdown")}
    try:
        require_feature(desk.request.licence, "deploy")
    except NotIncluded as refusal:
        await desk.say(f"{refusal} So I leave it at the analysis.")
        return Left({"risk": kept}, then=END)
    return Left({"risk": kept})


async def approval(desk: "Desk", values: JSON) -> Left:
    """The user's yes or no to the deployment; a yes is kept with the key and the arguments of the call that follows."""
    tested, assessed = values["backtest"], values["risk"]
    arguments = _deployment(tested)
    reply = desk.approve(
        ApprovalRequest(
            workflow="trading_analysis",
            title=words.title_of(tested),
            details=words.details_of(tested, assessed),
            params=arguments,
            covers={"strategy_version_digest": tested["strategy_digest"], "risk_result": assessed},
        )
    )
    if reply.decision != "approved":
        await desk.say(words.of_refusal(reply.decision, reply.comment))
        return Left(then=END)
    await desk.say("You approved it. I'm deploying it on paper…\n\n")
    key = f"{desk.request.turn}/deploy/1"
    return Left({"deploy": arguments | {"idempotency_key": key}})


async def deploy(desk: "Desk", values: JSON) -> Left:
    """Deploy what was approved, once, however often this step is begun."""
    tested, arguments = values["backtest"], values["deploy"]
    licence = await desk.licence_now()
    try:
        require_feature(licence, "deploy")
        deployed = await desk.effect("deploy_strategy", arguments, told=lambda made: words.of_deployment(made, tested))
    except NotIncluded as refusal:
        await desk.say(f"{refusal} Nothing was deployed.")
        return Left()
    except ToolRefused as refusal:
        await desk.say(f"Your workspace refused the deployment, so nothing was deployed: {refusal}")
        return Left()
    if deployed.get("digest") != tested["strategy_digest"]:
        await desk.call("stop_deployment", {"id": deployed["id"]})
        await desk.say("The strategy has changed since you approved it, so I stopped the deployment at once.")
        return Left()
    await desk.say(words.of_deployment(deployed, tested))
    return Left({"deployment": deployed["id"]})


def _wish(given: Any) -> JSON | None:
    """The wish in what a model or an agent gave; None when it is none."""
    try:
        return Wish.model_validate(given).model_dump(exclude_none=True)
    except ValidationError:
        return None


def _deployment(tested: JSON) -> JSON:
    """The arguments with which exactly the version that was tested is deployed."""
    return {
        "strategy": f"{tested['strategy']}@{tested['version']}",
        "symbol": ",".join(tested["symbols"]),
        "params": tested["params"],
        "interval": tested["interval"],
        "fee_bps": tested["fee_bps"],
        "slippage_bps": tested["slippage_bps"],
    }


WORKFLOW = Workflow(
    name="trading_analysis",
    label="Trading analysis",
    description=(
        "Backtest a strategy on an instrument, assess its risk against the person's limits, and deploy it on paper if the"
        " person approves. Use it when the person wants a strategy analysed for trading, or deployed. It takes over the"
        " answer: call it alone, and last."
    ),
    inputs=Wish,
    from_words=lambda text: {"words": text},
    steps=(understand, clarify, check, backtest, risk, approval, deploy),
)
