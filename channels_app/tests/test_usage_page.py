"""What the account page shows of usage. Source: docs/operations.md, Limits and usage."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.budgets import BudgetState
from accounts.errors import Window
from accounts.usage import UsageLine
from accounts.usage_report import Standing
from agents.tests.licences import licence
from channels_app.usage_page import Gauge, UsageShown, days_until, period_of, usage_shown

TODAY = date(2026, 11, 26)
DAYS = days_until(TODAY, count=7)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LABELS = {"web": "Web", "telegram": "Telegram"}


def line(day: int = 26, model: str = "a/big", channel: str = "web", **amounts: Any) -> UsageLine:
    return UsageLine(user_id="ada", day=date(2026, 11, day), model=model, channel=channel, **amounts)


def standing(
    *, used: int = 0, day_used: int = 0, cost: float | None = None, resets_in_s: float | None = None
) -> Standing:
    resets_at = None if resets_in_s is None else NOW + timedelta(seconds=resets_in_s)
    windows = (Window("minute", 60, 60, 0, None, None), Window("day", 86400, 2000, day_used, resets_in_s, resets_at))
    budget = BudgetState(used, 0, Decimal("1.5"), Decimal(0), datetime(2026, 12, 1, tzinfo=UTC), NOW)
    of = licence()
    return Standing(replace(of, limits=of.limits.model_copy(update={"cost_usd_per_month": cost})), windows, budget)


def shown(*lines: UsageLine, of: Standing | None = None) -> UsageShown:
    return usage_shown(lines, of, days=DAYS, labels=LABELS)


def gauges(of: Standing) -> dict[str, Gauge]:
    return {gauge.name: gauge for gauge in shown(of=of).gauges}


def test_every_day_has_a_column_and_stacks_what_it_holds() -> None:
    page = shown(
        line(25, turns=2),
        line(26, turns=4, failed_turns=1, input_tokens=1000, cached_tokens=400, output_tokens=50, cost_usd=Decimal("0.5")),
        line(26, "", "", workspace_s=90),
    )  # fmt: skip
    answers, tokens, cost, workspace = page.charts

    assert [column.day for column in answers.columns] == DAYS
    assert answers.columns[-2].words == ["2", "0"]
    assert answers.columns[-1].words == ["3", "1"]
    assert (answers.headline, answers.note) == ("5", "1 more failed")
    assert tokens.columns[-1].title == "Thu 26 Nov 2026: 600 input, 400 input from the cache, 50 output"
    assert (tokens.headline, tokens.note) == ("1,050", "1,000 in, 50 out")
    assert (cost.headline, workspace.headline) == ("$0.5000", "1.5 min")


def test_the_dearest_model_comes_first_and_the_workspaces_time_is_none() -> None:
    page = shown(
        line(20, "a/small", input_tokens=5000, turns=3),
        line(21, "a/big", "telegram", cost_usd=Decimal(2), turns=1, tool_calls=7),
        line(26, "a/big", cost_usd=Decimal("0.25"), turns=1),
        line(26, "", "web", turns=1, failed_turns=1),
        line(26, "", "", workspace_s=600),
    )
    models, channels = page.tables

    assert [(row.name, row.cells) for row in models.rows] == [
        ("a/big", ["2", "0", "0", "0", "0", "7", "$2.25"]),
        ("a/small", ["3", "0", "5,000", "0", "0", "0", "$0.00"]),
        ("No model was asked", ["0", "1", "0", "0", "0", "0", "$0.00"]),
    ]
    assert [row.name for row in channels.rows] == ["Telegram", "Web"]


def test_a_limit_that_is_nearly_reached_shows_how_far_and_when_it_begins_anew() -> None:
    tokens = gauges(standing(used=17_000_000))["Tokens this month"]

    assert (tokens.words, tokens.note) == ("17,000,000 of 20,000,000", "begins anew on 1 December")
    assert float(tokens.nearly) < float(tokens.used) < float(tokens.most or 0)


def test_a_full_window_says_when_it_opens() -> None:
    day = gauges(standing(day_used=2000, resets_in_s=7200))["Messages in the last 24 hours"]

    assert (day.full, day.note) == (True, "free again at 14:00 UTC, in 2 h 0 min")


@pytest.mark.parametrize(("cost", "words"), [(None, "$1.50"), (2.5, "$1.50 of $2.50"), (0.0, "$1.50 of $0.00")])
def test_a_limit_that_is_none_has_no_bar(cost: float | None, words: str) -> None:
    gauge = gauges(standing(cost=cost))["Model costs this month"]

    assert (gauge.words, gauge.most is None) == (words, cost is None)


def test_without_usage_or_licence_there_is_nothing_to_draw() -> None:
    page = shown()

    assert (page.charts, page.gauges, [table.rows for table in page.tables]) == ([], [], [[], []])


def test_the_table_for_a_spreadsheet_is_of_the_same_days() -> None:
    assert shown().csv_url == "/api/v1/usage?format=csv&since=2026-11-20&until=2026-11-26"


@pytest.mark.parametrize(("wanted", "days"), [("7", 7), ("90", 90), ("", 30), ("31", 30), ("-7", 30), ("7 ", 30)])
def test_only_the_offered_periods_are_shown(wanted: str, days: int) -> None:
    assert period_of(wanted) == days


def test_a_vendor_who_tells_more_cached_tokens_than_input_draws_no_bar_below_the_ground() -> None:
    tokens = shown(line(26, input_tokens=100, cached_tokens=300)).charts[1]

    assert [(bar.tone, float(bar.y) >= 0) for bar in tokens.columns[-1].bars] == [("pale", True)]


def test_of_a_limit_of_nothing_the_bar_is_full() -> None:
    gauge = gauges(standing(cost=0.0))["Model costs this month"]

    assert (gauge.full, gauge.used, gauge.most) == (True, "1", "1")
