"""What the user has used, as JSON or as a table for a spreadsheet."""

import csv
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

from asgiref.sync import async_to_sync
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.usage import COLUMNS
from accounts.usage_report import usage_json
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described

# What a page shows unless it asks for more.
DEFAULT_DAYS = 30
# A year, and what it takes to compare it with the last one's month.
MOST_DAYS = 400
# What a formula begins with in a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class PeriodQuery(serializers.Serializer[Any]):
    """Days of UTC, both included; `since` is 30 days before `until`, which is today."""

    since = serializers.DateField(default=None)
    until = serializers.DateField(default=None)

    def validate(self, attrs: dict[str, date | None]) -> dict[str, date | None]:
        """Fill in what was left out."""
        until = attrs["until"] or datetime.now(UTC).date()
        since = attrs["since"] or max(date.min + timedelta(days=DEFAULT_DAYS), until) - timedelta(days=DEFAULT_DAYS)
        if not timedelta(0) <= until - since <= timedelta(days=MOST_DAYS):
            raise serializers.ValidationError(f"Ask for at most {MOST_DAYS} days, the first one first.")
        return {"since": since, "until": until}


class CSVRenderer(BaseRenderer):
    """The lines of a usage answer as CSV (RFC 4180), with a header; refusals stay JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The table's bytes."""
        if "days" not in data:
            renderer_context["response"]["Content-Type"] = JSONRenderer.media_type
            return bytes(JSONRenderer().render(data, accepted_media_type, renderer_context))
        table = StringIO(newline="")
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in line.items()} for line in data["days"])
        return table.getvalue().encode()


def _cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula (OWASP, CSV Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


class UsageView(ApiView):
    """Tokens, costs, turns, tool calls and workspace minutes by day, model and channel."""

    renderer_classes = [JSONRenderer, CSVRenderer]

    @described("get_usage", {200: shapes.UsageReport}, query=PeriodQuery, refusals=(404,))
    def get(self, request: Request) -> Response:
        """200 {since, until, limits, total, days}; with `?format=csv` or `Accept: text/csv` the days as a table."""
        period = validated(PeriodQuery, request.query_params)
        found = async_to_sync(usage_json)(user_of(request), since=period["since"], until=period["until"])
        response = Response(found)
        if isinstance(request.accepted_renderer, CSVRenderer):
            name = f"dexorder-usage-{period['since']}-{period['until']}.csv"
            response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
