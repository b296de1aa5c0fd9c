"""The dashboard as a member of staff may see it: each part by the permission for the page that it leads to."""

from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from channels_app.charts import Chart, Series
from channels_app.dashboard import figures
from channels_app.dashboard.figures import Tile

PERIODS = (7, 30, 90)


def show(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the context of the admin's first page what it shows."""
    period = _period(request)
    today = timezone.now().date()
    days = [today - timedelta(days=back) for back in range(period - 1, -1, -1)]
    user: Any = request.user
    tiles, charts = _numbers(user, days)
    soon = figures.expiring(today) if user.has_perm("accounts.view_userlicence") else None
    changes = figures.newest_changes() if user.has_perm("accounts.view_auditentry") else None
    shown = {"tiles": tiles, "charts": charts, "expiring": soon, "changes": changes}
    return {**context, **shown, "period": period, "periods": PERIODS, "nothing": not any(shown.values())}


def _numbers(user: Any, days: list[date]) -> tuple[list[Tile], list[Chart]]:
    tiles: list[Tile] = []
    charts: list[Chart] = []
    failed: list[Series] = []
    if user.has_perm("accounts.view_usage"):
        tiles, charts, turns = figures.usage(days)
        failed.append(turns)
    if user.has_perm("provisioning.view_workspace"):
        cold, starts = figures.starts(days)
        charts.append(cold)
        failed.append(starts)
        tiles.append(figures.running())
    if failed:
        charts.append(figures.failures(days, failed))
    if user.has_perm("agents.view_turn"):
        tiles.append(figures.given_up())
    return tiles, charts


def _period(request: HttpRequest) -> int:
    wanted = request.GET.get("days", "")
    return next((each for each in PERIODS if str(each) == wanted), 30)
