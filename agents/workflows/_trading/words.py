"""The sentences of the trading analysis, made from what the workspace's tools answered."""

from datetime import UTC, datetime
from typing import Any

JSON = dict[str, Any]


def of_backtest(tested: JSON) -> str:
    """How a strategy did, beside buying and holding."""
    own, hold = tested["metrics"], tested["benchmark"]
    rows = [
        ("Total return", "total_return_percent", "%"),
        ("Growth a year", "cagr_percent", "%"),
        ("Sharpe ratio", "sharpe", ""),
        ("Deepest fall", "max_drawdown_percent", "%"),
        ("Time invested", "exposure_percent", "%"),
    ]
    table = "\n".join(
        f"| {name} | {figure(own.get(key), unit)} | {figure(hold.get(key), unit)} |" for name, key, unit in rows
    )
    notes = "".join(f"\n- {note}" for note in tested["notes"])
    return (
        f"**{named(tested)}** over {tested['bars']:,} bars from {tested['from']} to {tested['to']}, "
        f"{own['trades']} trades, fees and slippage paid:\n\n| | strategy | buy and hold |\n|---|---|---|\n{table}\n"
        f"{notes}\n\n"
    )


NO_LIMITS = (
    "You have stated no limits. Tell me the deepest fall that you can bear, in percent, and I hold it against that."
)


def of_risk(assessed: JSON) -> str:
    """The verdict, and each limit against its figure."""
    if assessed["within_limits"] is None:
        # The workspace's words for this case are advice to a model, which calls a tool to state limits.
        return f"**Risk:** {NO_LIMITS}\n\n"
    checks = "".join(f"\n- {'✓' if each['within'] else '✗'} {each['text']}" for each in assessed["checks"])
    return f"**Risk:** {assessed['verdict']}{checks}\n\n"


def title_of(tested: JSON) -> str:
    """What is to be approved, in a line."""
    return f"Deploy {named(tested)} on paper"


def details_of(tested: JSON, assessed: JSON) -> JSON:
    """What is to be approved, a name and a value a line."""
    metrics = tested["metrics"]
    verdicts = {True: "within your limits", False: "BEYOND your limits", None: "you have stated no limits"}
    return {
        "Strategy": f"{tested['strategy']}, version {tested['version'] or 'as shipped'}",
        "Instruments": ", ".join(tested["symbols"]),
        "Bars": tested["interval"],
        "Parameters": ", ".join(f"{name} {_setting(value)}" for name, value in tested["params"].items()) or "none",
        "Costs": f"{tested['fee_bps']:g} bp fee, {tested['slippage_bps']:g} bp slippage",
        "Tested": f"{tested['from']} to {tested['to']}, {figure(metrics.get('total_return_percent'), '%')} in all",
        "Deepest fall": figure(metrics.get("max_drawdown_percent"), "%"),
        "Risk": verdicts[assessed["within_limits"]],
        **({} if assessed["within_limits"] is None else {"Verdict": assessed["verdict"]}),
        "Money": "paper only, 100,000; no real order is placed",
    }


def of_refusal(decision: str, comment: str) -> str:
    """Why nothing was deployed."""
    if decision == "expired":
        return "Nobody approved it in time, so nothing was deployed. Ask me again when you want it."
    return f"You rejected it{f' (“{comment}”)' if comment else ''}, so nothing was deployed."


def of_deployment(deployed: JSON, tested: JSON) -> str:
    """What was deployed."""
    return (
        f"**Deployed:** {named(tested)} trades on paper since {_moment(deployed['since'])}, as deployment `{deployed['id']}`, "
        f"from the bar of {deployed['last_bar']} on."
    )


def named(tested: JSON) -> str:
    """A strategy on its instruments."""
    return f"{tested['strategy']} on {', '.join(tested['symbols'])}"


def figure(value: float | None, unit: str) -> str:
    """A figure of two digits; a dash where it has no meaning."""
    return "–" if value is None else f"{value:,.2f}{' ' + unit if unit else ''}"


def _setting(value: Any) -> str:
    """A parameter's value for people."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _moment(iso: str) -> str:
    """`26 Nov 2026, 11:24 UTC`, of ISO 8601."""
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
