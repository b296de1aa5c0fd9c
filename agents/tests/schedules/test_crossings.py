"""An alert is told once for each crossing. Source: DESIGN section 10."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agents.schedules.crossings import MARGIN, Bar, armed_at, watch

LEVEL = Decimal(100)
PRICES = st.lists(st.decimals(min_value=80, max_value=120, places=2), min_size=1, max_size=60)


def bars(*closes: float | Decimal) -> list[Bar]:
    return [
        Bar(str(index), Decimal(str(each)), Decimal(str(each)), Decimal(str(each))) for index, each in enumerate(closes)
    ]


def fired(closes: list[Decimal]) -> int:
    """How often it is told, looked at after each bar."""
    armed, told = True, 0
    for bar in bars(*closes):
        seen = watch([bar], direction="below", level=LEVEL, armed=armed)
        armed, told = seen.armed, told + (seen.fired is not None)
    return told


def test_a_price_that_stays_below_is_told_once() -> None:
    assert fired([Decimal(each) for each in ("101", "99", "95", "99.9", "90")]) == 1


def test_a_price_that_dances_on_the_level_is_told_once() -> None:
    assert fired([Decimal(each) for each in ("101", "99.99", "100.05", "99.98", "100.1", "99.9")]) == 1


def test_a_price_that_comes_back_and_falls_again_is_told_again() -> None:
    assert fired([Decimal(each) for each in ("101", "99", "101", "99")]) == 2


def test_a_short_dip_between_two_looks_is_told() -> None:
    dip = Bar("t", high=Decimal(102), low=Decimal(99), close=Decimal(101))

    seen = watch([dip], direction="below", level=LEVEL, armed=True)

    assert seen.fired == dip
    assert seen.armed


def test_an_alert_set_beyond_its_level_waits_for_the_price_to_come_back() -> None:
    assert not armed_at(Decimal(90), direction="below", level=LEVEL)
    assert not armed_at(Decimal(110), direction="above", level=LEVEL)
    assert armed_at(Decimal(100), direction="below", level=LEVEL)


@given(PRICES)
def test_however_the_bars_are_cut_into_looks_the_end_is_the_same(closes: list[Decimal]) -> None:
    whole = watch(bars(*closes), direction="below", level=LEVEL, armed=True)
    armed = True
    for bar in bars(*closes):
        armed = watch([bar], direction="below", level=LEVEL, armed=armed).armed

    assert whole.armed == armed


@given(PRICES)
def test_between_two_alerts_the_price_came_back(closes: list[Decimal]) -> None:
    crossings = back = 0
    armed = True
    for price in closes:
        if armed and price < LEVEL:
            crossings, armed = crossings + 1, False
        elif not armed and price >= LEVEL * (1 + MARGIN):
            back, armed = back + 1, True

    assert fired(closes) == crossings
    assert crossings <= back + 1
