"""The demo model's rules for workflows: it starts a trading analysis, reads what is to be analysed, sums up a portfolio."""

import json
import re

from agents.providers._demo.talk import JSON, Call, Say, Step, Talk

_ASKED = re.compile(r"\b(?:analy[sz]e|analysis|backtest|deploy|trade)\b", re.IGNORECASE)
# Names of strategies are words joined by an underscore; people also write them apart.
_STRATEGY = re.compile(r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+(?:@\d+)?)\b")
_SHIPPED = re.compile(
    r"\b(sma crossover|rsi mean reversion|donchian breakout|volatility target|index pair)\b", re.IGNORECASE
)
_INSTRUMENT = re.compile(r"\b(?:on|of|with|for)\s+(\^?[A-Za-z][\w^.:/&-]{0,30})|(?<![\w^])(\^?[A-Z][A-Z0-9.]{1,9})\b")
_NO_INSTRUMENT = {"it", "the", "a", "my", "this", "that", "paper", "sma", "rsi", "macd", "what", "which"}
_SINCE = re.compile(r"\b(?:since|from|after)\s+(\d{4}(?:-\d\d-\d\d)?)\b", re.IGNORECASE)
_UNTIL = re.compile(r"\b(?:until|till|to)\s+(\d{4}(?:-\d\d-\d\d)?)\b", re.IGNORECASE)
_PARAMETER = re.compile(r"\b([a-z_]{2,30})\s*=\s*(-?\d+(?:\.\d+)?)\b")
_FACTS = re.compile(r"Portfolio facts:\n(\{.*\})\s*", re.DOTALL)


def workflow_step(talk: Talk) -> Step | None:
    """The step that a workflow's tools call for, or the start of one."""
    if "analysis_request" in talk.tools:
        return _read(talk)
    if facts := _FACTS.fullmatch(talk.message):
        return Say(_summary(json.loads(facts[1])))
    if "portfolio_review" in talk.tools and re.search(r"\b(?:review|how).*\bportfolio\b", talk.message, re.IGNORECASE):
        return Call("portfolio_review")
    wish = _wish(talk.message)
    if "trading_analysis" in talk.tools and _ASKED.search(talk.message) and "strategy" in wish and "symbol" in wish:
        return Call("trading_analysis", wish)
    return None


def _read(talk: Talk) -> Step:
    wish = _wish(talk.message)
    if "strategy" not in wish:
        return Call("ask_back", {"question": "Which strategy shall I analyse, for example sma_crossover?"})
    if "symbol" not in wish:
        return Call(
            "ask_back", {"question": f"On which instrument shall I analyse {wish['strategy']}, for example SPX?"}
        )
    return Call("analysis_request", wish)


def _wish(message: str) -> JSON:
    """What a message says of an analysis, as far as the rules understand it."""
    found: JSON = {}
    if shipped := _SHIPPED.search(message):
        found["strategy"] = shipped[1].lower().replace(" ", "_")
    elif named := _STRATEGY.search(message):
        found["strategy"] = named[1]
    symbol = next((s for s in _symbols(message) if s.lower() not in _NO_INSTRUMENT and "_" not in s), None)
    if symbol:
        found["symbol"] = symbol
    for name, pattern, rest in (("start", _SINCE, "-01-01"), ("end", _UNTIL, "-12-31")):
        if day := pattern.search(message):
            found[name] = day[1] if "-" in day[1] else day[1] + rest
    if params := {name: float(value) if "." in value else int(value) for name, value in _PARAMETER.findall(message)}:
        found["params"] = params
    return found


def _symbols(message: str) -> list[str]:
    return [(found[1] or found[2]).rstrip(".,") for found in _INSTRUMENT.finditer(message)]


def _summary(facts: JSON) -> str:
    accounts = facts["accounts"]
    rows = "\n".join(
        f"| {each['strategy']} | {', '.join(each['symbols'])} | {each['equity']:,.2f} | {each['return_percent']:.2f} % |"
        for each in accounts
    )
    broken = [f"- {each['strategy']}: {text}" for each in accounts for text in each["limits"]]
    limits = "\n".join(broken) or "All accounts are within the limits that you have stated."
    profit = sum(each["profit"] for each in accounts)
    noun = "strategy runs" if len(accounts) == 1 else "strategies run"
    return (
        f"**{len(accounts)} {noun} on paper, {profit:+,.2f} in all.**\n\n"
        f"| strategy | instruments | equity | return |\n|---|---|---|---|\n{rows}\n\n{limits}"
    )
