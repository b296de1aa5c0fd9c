"""What the dashboard shows. Each figure is one query that an index bounds; every number is exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count
from django.db.models.functions import Now, TruncDate

from accounts.models import EXPIRY, AuditEntry, UserLicence
from accounts.usage_days import DayTotal, day_totals
from agents.models import Turn
from channels_app.charts import Caption, Chart, Series, chart, count_words, money_words
from provisioning.models import State, Workspace, WorkspaceDay

SOON = timedelta(days=30)
# As long as agents.worker keeps the text of a turn that was given up.
KEPT = timedelta(days=7)
NEXT_LICENCES = NEWEST_ENTRIES = 8


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of now; `link` is the admin's page of what it counts, `query` what is chosen there."""

    label: str
    value: str
    note: str
    link: str
    query: str = ""
    alert: bool = False


@dataclass(frozen=True, slots=True)
class Expiring:
    """The licences that run out within SOON: how many, how many each day, and those that come first."""

    total: int
    chart: Chart
    first: list[UserLicence]


def usage(days: Sequence[date]) -> tuple[list[Tile], list[Chart], Series]:
    """Turns, users and cost: of today, and day by day; and the turns that failed."""
    totals = day_totals(first=days[0], last=days[-1])
    today = totals[-1]
    link = "admin:accounts_usage_changelist"
    tiles = [
        Tile("Turns today", count_words(today.turns), f"{count_words(today.failed_turns)} failed", link, "period=1"),
        Tile("Active users today", count_words(today.active_users), "users of whom a turn ended", link, "period=1"),
        Tile("Cost today", money_words(today.cost_usd), f"{_tokens(today)} tokens", link, "period=1"),
    ]
    turns, cost = [each.turns for each in totals], [each.cost_usd for each in totals]
    active = [each.active_users for each in totals]
    busiest = max(active)
    charts = [
        chart(_counted("Turns", sum(turns)), days, [Series("turns", turns)]),
        chart(_counted("Active users", busiest, note="on the busiest day"), days, [Series("users", active)]),
        chart(Caption(title="Cost", headline=money_words(sum(cost)), words=money_words), days, [Series("", cost)]),
    ]
    return tiles, charts, Series("turns", [each.failed_turns for each in totals], "bad")


def starts(days: Sequence[date]) -> tuple[Chart, Series]:
    """Cold starts day by day, and the starts that failed."""
    found = {row.day: row for row in WorkspaceDay.objects.filter(day__gte=days[0], day__lte=days[-1])}
    rows = [found.get(day) or WorkspaceDay(day=day, starts=0, failed_starts=0, start_ms=0) for day in days]
    total = sum(row.starts for row in rows)
    mean = f"{sum(row.start_ms for row in rows) / total / 1000:.1f} s each on average" if total else ""
    values = Series("cold starts", [row.starts for row in rows])
    failed = Series("workspace starts", [row.failed_starts for row in rows], "warn")
    return chart(_counted("Cold starts", total, note=mean), days, [values]), failed


def failures(days: Sequence[date], failed: Sequence[Series]) -> Chart:
    """What went wrong day by day."""
    return chart(_counted("Failures", sum(int(sum(each.values)) for each in failed)), days, failed)


def running() -> Tile:
    """The workspaces that run now."""
    alive = (State.STARTING, State.READY, State.STOPPING)
    counts = dict(Workspace.objects.filter(state__in=alive).values_list("state").annotate(Count("pk")).order_by())
    note = f"{count_words(counts.get(State.STARTING, 0))} starting"
    link, query = "admin:provisioning_workspace_changelist", f"state={State.READY}"
    return Tile("Workspaces running", count_words(counts.get(State.READY, 0)), note, link, query)


def given_up() -> Tile:
    """The turns that were given up of late: their text is still kept, so that they may be tried again."""
    dead = Turn.objects.filter(dead=True, finished_at__gt=Now() - KEPT).count()
    note = f"in {KEPT.days} days; may be tried again"
    return Tile("Turns given up", count_words(dead), note, "admin:agents_turn_changelist", "state=dead", dead > 0)


def expiring(today: date) -> Expiring:
    """The licences that run out soon."""
    soon = UserLicence.objects.expiring_within(SOON)
    days = [today + timedelta(days=number) for number in range(SOON.days + 1)]
    counts = dict(soon.values_list(TruncDate("expires_at")).annotate(Count("pk")).order_by())
    values = [counts.get(day, 0) for day in days]
    caption = _counted("Licences running out", sum(counts.values()), note=f"within {SOON.days} days")
    drawn = chart(caption, days, [Series("licences", values, "warn")])
    return Expiring(sum(counts.values()), drawn, list(soon.order_by(EXPIRY, "user_id")[:NEXT_LICENCES]))


def newest_changes() -> list[AuditEntry]:
    """What was changed last."""
    return list(AuditEntry.objects.order_by("-id")[:NEWEST_ENTRIES])


def _counted(title: str, total: int, *, note: str = "") -> Caption:
    return Caption(title=title, headline=f"{total:,}", note=note, words=count_words)


def _tokens(day: DayTotal) -> str:
    return count_words(day.input_tokens + day.output_tokens)
