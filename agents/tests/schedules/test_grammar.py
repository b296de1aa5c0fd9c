"""What a person types after /schedule and /alert.

Source: DESIGN section 10, chat commands: `/alert BTC below 50000`, `/schedule daily 08:00 portfolio review`.
"""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.schedules.grammar import (
    Delete,
    Misunderstood,
    NewAlert,
    NewTask,
    ShowList,
    parse_alert,
    parse_schedule,
    price_words,
)
from agents.schedules.rules import Rule

RULES = st.builds(Rule, st.sampled_from(["daily", "weekdays"]), st.integers(0, 23), st.integers(0, 59)) | st.builds(
    Rule, st.just("weekly"), st.integers(0, 23), st.integers(0, 59), st.integers(0, 6)
)
TEXTS = st.text(min_size=1, max_size=80).map(lambda text: " ".join(text.split())).filter(bool)
SYMBOLS = st.from_regex(r"[A-Z^][A-Z0-9./:-]{0,20}", fullmatch=True)
LEVELS = st.decimals(min_value="0.000001", max_value=10**12, places=6)
VIAS = st.sampled_from(["", "telegram", "web"])


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("daily 08:00 portfolio review", NewTask(Rule("daily", 8, 0), "portfolio review")),
        ("every day at 8:05 portfolio review", NewTask(Rule("daily", 8, 5), "portfolio review")),
        ("weekdays 17:30 How did SPX do?", NewTask(Rule("weekdays", 17, 30), "How did SPX do?")),
        ("weekly monday 9:00 portfolio review", NewTask(Rule("weekly", 9, 0, 0), "portfolio review")),
        ("Sundays at 7pm portfolio review", NewTask(Rule("weekly", 19, 0, 6), "portfolio review")),
        ("every fri 12am x", NewTask(Rule("weekly", 0, 0, 4), "x")),
        ("daily 08:00 portfolio review via Telegram", NewTask(Rule("daily", 8, 0), "portfolio review", "telegram")),
    ],
)
def test_a_task_is_understood(text: str, task: NewTask) -> None:
    assert parse_schedule(text) == task


@pytest.mark.parametrize(
    ("text", "alert"),
    [
        ("BTC below 50000", NewAlert("BTC", "below", Decimal(50000))),
        ("BTC < 50,000", NewAlert("BTC", "below", Decimal(50000))),
        ("BTC falls under $50k", NewAlert("BTC", "below", Decimal(50000))),
        ("S&P 500 above 3,000.50", NewAlert("S&P 500", "above", Decimal("3000.50"))),
        ("binance:ETH/USDT over 1.5k via telegram", NewAlert("binance:ETH/USDT", "above", Decimal(1500), "telegram")),
        ("^GSPC > 0.5", NewAlert("^GSPC", "above", Decimal("0.5"))),
    ],
)
def test_an_alert_is_understood(text: str, alert: NewAlert) -> None:
    assert parse_alert(text) == alert


@pytest.mark.parametrize("parse", [parse_schedule, parse_alert])
def test_nothing_typed_is_the_list(parse: object) -> None:
    for text in ("", " ", "list"):
        assert parse(text) == ShowList()  # type: ignore[operator]
    assert parse("delete 3") == Delete(3)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    ["BTC", "BTC below", "BTC below 0", "BTC below -5", "below 5", "BTC below fifty", "BTC below 1,00", "x" * 5000],
)
def test_what_is_no_alert_is_answered_with_examples(text: str) -> None:
    answer = parse_alert(text)

    assert isinstance(answer, Misunderstood)
    assert "/alert BTC below 50000" in answer.message


@pytest.mark.parametrize(
    "text", ["daily", "daily 25:00 x", "daily 8 reports", "hourly 08:00 x", "daily 08:00", "daily 13pm x"]
)
def test_what_is_no_task_is_answered_with_examples(text: str) -> None:
    answer = parse_schedule(text)

    assert isinstance(answer, Misunderstood)
    assert "/schedule daily 08:00" in answer.message


@given(st.text(max_size=200))
def test_whatever_is_typed_nothing_is_raised(text: str) -> None:
    parse_schedule(text)
    parse_alert(text)


@given(rule=RULES, text=TEXTS.filter(lambda text: " via " not in f" {text} "), via=VIAS)
@example(rule=Rule("daily", 8, 0), text=": what begins with a colon", via="")
def test_a_task_in_words_is_the_same_task(rule: Rule, text: str, via: str) -> None:
    task = NewTask(rule, text, via)

    assert parse_schedule(task.words()) == task


@given(symbol=SYMBOLS, direction=st.sampled_from(["above", "below"]), level=LEVELS, via=VIAS)
def test_an_alert_in_words_is_the_same_alert(symbol: str, direction: str, level: Decimal, via: str) -> None:
    alert = NewAlert(symbol, direction, level, via)  # type: ignore[arg-type]

    assert parse_alert(alert.words()) == alert


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ("50000", "50,000"), ("2506.850098", "2,506.85"), ("1.1", "1.10"), ("0.00001234", "0.00001234"), ("0.5", "0.5"),
        ("0", "0"), ("999999999999.999", "1,000,000,000,000"),
    ],
)  # fmt: skip
def test_a_price_is_told_for_people(price: str, words: str) -> None:
    assert price_words(Decimal(price)) == words
