"""What a person reads of an analysis names no tool. Source: DESIGN section 6."""

from typing import Any

from agents.workflows._trading.words import details_of, of_risk

TESTED: dict[str, Any] = {
    "strategy": "golden-cross",
    "version": 2,
    "symbols": ["SPX"],
    "interval": "1d",
    "params": {},
    "fee_bps": 5.0,
    "slippage_bps": 1.0,
    "from": "2010-01-04",
    "to": "2018-12-31",
    "metrics": {},
}


def test_without_limits_the_person_is_asked_for_them_in_plain_words() -> None:
    assessed: dict[str, Any] = {
        "within_limits": None,
        "checks": [],
        "verdict": "No limits: state some with set_preferences.",
    }

    assert "set_preferences" not in of_risk(assessed)
    assert "deepest fall that you can bear" in of_risk(assessed)
    assert details_of(TESTED, assessed)["Risk"] == "you have stated no limits"
    assert "Verdict" not in details_of(TESTED, assessed)


def test_with_limits_the_verdict_and_each_figure_are_told() -> None:
    check = {"within": False, "text": "the account fell 36.4 %, your limit is 20 %"}
    assessed = {"within_limits": False, "checks": [check], "verdict": "Exceeds your limits."}

    assert of_risk(assessed) == "**Risk:** Exceeds your limits.\n- ✗ the account fell 36.4 %, your limit is 20 %\n\n"
    assert details_of(TESTED, assessed)["Verdict"] == "Exceeds your limits."
