"""What the account page shows of a user's usage: how far the limits are used, charts by day, tables. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.errors import Window
from accounts.limit_words import moment
from accounts.usage import Amounts, UsageLine, total
from accounts.usage_report import Standing
from channels_app.charts import Caption, Chart, Number, Series, chart, count_words, money_words, whole

PERIODS = (7, 30, 90)
DEFAULT_DAYS = 30
# From here on a gauge warns.
NEARLY = 0.8
HEAD = (
    gettext_noop("Answers"),
    gettext_noop("Failed"),
    gettext_noop("Input"),
    gettext_noop("Cached"),
    gettext_noop("Output"),
    gettext_noop("Tool calls"),
    gettext_noop("Cost"),
)
_WINDOW_NAMES = {
    "minute": gettext_noop("Messages in the last minute"),
    "day": gettext_noop("Messages in the last 24 hours"),
}
Key = TypeVar("Key", str, date)


@dataclass(frozen=True, slots=True)
class Gauge:
    """How much of a limit is used; `most` None = no limit."""

    name: str
    words: str
    note: str
    used: str = ""
    most: str | None = None
    nearly: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A model or channel and its amounts in words, as HEAD names them."""

    name: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Amounts by `of`, the dearest first; `title` says so."""

    of: str
    title: str
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageShown:
    """The page's part; without `charts` nothing was used in the period."""

    period: int
    gauges: list[Gauge]
    charts: list[Chart]
    tables: list[Table]
    csv_url: str
    head: Sequence[str]
    periods: Sequence[int] = PERIODS


def period_of(wanted: str) -> int:
    """The days of a period that is asked for; DEFAULT_DAYS for one that is not offered."""
    return next((each for each in PERIODS if str(each) == wanted), DEFAULT_DAYS)


def usage_shown(
    lines: Sequence[UsageLine], standing: Standing | None, *, days: Sequence[date], labels: Mapping[str, str]
) -> UsageShown:
    """The lines of `days`, each of which is a day without a gap; `labels` are the channels' names for people."""
    asked = [line for line in lines if line.channel]
    query = urlencode({"format": "csv", "since": days[0], "until": days[-1]})
    return UsageShown(
        period=len(days),
        gauges=_gauges(standing) if standing else [],
        charts=_charts(lines, days) if lines else [],
        tables=[
            Table(_("Model"), _("Usage by model"), _by(asked, lambda line: line.model or _("No model was asked"))),
            Table(_("Channel"), _("Usage by channel"), _by(asked, lambda line: labels.get(line.channel, line.channel))),
        ],
        csv_url=f"/api/v1/usage?{query}",
        head=[_(each) for each in HEAD],
    )


def days_until(last: date, *, count: int) -> list[date]:
    """So many days, `last` being the last."""
    return [last - timedelta(days=back) for back in range(count - 1, -1, -1)]


def _gauges(standing: Standing) -> list[Gauge]:
    limits, budget = standing.licence.limits, standing.budget
    anew = _("begins anew on {day}").format(day=date_format(budget.resets_at.astimezone(UTC), "MONTH_DAY_FORMAT"))
    tokens, cost = limits.tokens_per_month, limits.cost_usd_per_month
    most = None if cost is None else Decimal(str(cost))
    return [
        *(_window(window, standing) for window in standing.windows),
        _gauge(_("Tokens this month"), budget.tokens_used, tokens, words=whole, note=anew),
        _gauge(_("Model costs this month"), budget.cost_used, most, words=money_words, note=anew),
    ]


def _window(window: Window, standing: Standing) -> Gauge:
    note = ""
    if window.full and window.resets_at is not None:
        note = _("free again {moment}").format(moment=moment(window.resets_at, now=standing.budget.now))
    return _gauge(_(_WINDOW_NAMES[window.name]), window.used, window.limit, words=whole, note=note)


def _gauge(name: str, used: Number, most: Number | None, *, words: Callable[[Number], str], note: str) -> Gauge:
    if most is None:
        return Gauge(name, words(used), _("no limit"))
    said = _("{used} of {most}").format(used=words(used), most=words(most))
    # Of nothing nothing is left: a bar needs an end above 0.
    drawn, end = (used, most) if most else (1, 1)
    return Gauge(name, said, note, _plain(drawn), _plain(end), f"{float(end) * NEARLY:f}", full=used >= most)


def _plain(value: Number) -> str:
    # Text, so that no locale puts a comma into it.
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _charts(lines: Sequence[UsageLine], days: Sequence[date]) -> list[Chart]:
    of_day = _grouped(lines, lambda line: line.day)
    each_day = [of_day.get(day, Amounts()) for day in days]
    used = total(each_day)
    failed = _("{count} more failed").format(count=whole(used.failed_turns)) if used.failed_turns else ""
    minutes = [Decimal(each.workspace_s) / 60 for each in each_day]
    turns = [
        Series(_("answers"), [each.turns - each.failed_turns for each in each_day]),
        Series(_("failed"), [each.failed_turns for each in each_day], "bad"),
    ]
    tokens = [
        Series(_("input"), [max(0, each.input_tokens - each.cached_tokens) for each in each_day]),
        Series(_("input from the cache"), [each.cached_tokens for each in each_day], "pale"),
        Series(_("output"), [each.output_tokens for each in each_day], "warn"),
    ]
    cost = [Series("", [each.cost_usd for each in each_day])]
    time = [Series(_("minutes"), minutes)]
    said = _("{input} in, {output} out").format(
        input=count_words(used.input_tokens), output=count_words(used.output_tokens)
    )
    return [
        chart(_caption(_("Answers"), count_words(used.turns - used.failed_turns), failed), days, turns),
        chart(_caption(_("Tokens"), count_words(_tokens(used)), said), days, tokens),
        chart(Caption(title=_("Cost"), headline=money_words(used.cost_usd), words=money_words), days, cost),
        chart(Caption(title=_("Workspace"), headline=f"{_minutes(sum(minutes))} min", words=_minutes), days, time),
    ]


def _caption(title: str, headline: str, note: str) -> Caption:
    return Caption(title=title, headline=headline, note=note, words=count_words)


def _minutes(value: Number) -> str:
    return count_words(Decimal(value).quantize(Decimal("0.1") if value < 10 else Decimal(1)))


def _by(lines: Iterable[UsageLine], name: Callable[[UsageLine], str]) -> list[Row]:
    grouped = sorted(_grouped(lines, name).items(), key=lambda each: (-each[1].cost_usd, -_tokens(each[1]), each[0]))
    return [Row(key, _cells(amounts)) for key, amounts in grouped]


def _cells(used: Amounts) -> list[str]:
    turns = (used.turns - used.failed_turns, used.failed_turns)
    counts = (*turns, used.input_tokens, used.cached_tokens, used.output_tokens, used.tool_calls)
    return [*map(whole, counts), money_words(used.cost_usd)]


def _tokens(used: Amounts) -> int:
    return used.input_tokens + used.output_tokens


def _grouped(lines: Iterable[UsageLine], key: Callable[[UsageLine], Key]) -> dict[Key, Amounts]:
    found: dict[Key, Amounts] = defaultdict(Amounts)
    for line in lines:
        found[key(line)] += line
    return found
