"""What users used, for staff."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from typing_extensions import override

from accounts.admin.lists import ReadOnlyAdmin
from accounts.usage_models import Usage


class PeriodFilter(admin.SimpleListFilter):
    """The last days, UTC, today included."""

    title = parameter_name = "period"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices, in days."""
        return [("1", "Today"), ("7", "Last 7 days"), ("30", "Last 30 days")]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Usage]) -> QuerySet[Usage]:
        """The rows of the choice."""
        if self.value() not in {value for value, _ in self.lookup_choices}:
            return queryset
        return queryset.filter(day__gt=timezone.now().date() - timedelta(days=int(self.value() or 0)))


@admin.register(Usage)
class UsageAdmin(ReadOnlyAdmin):
    """A row a user, day, model and channel; the newest first."""

    list_display = (
        "day", "user_id", "model", "channel", "all_turns", "cost", "tokens_in", "tokens_cached", "tokens_out", "calls",
        "workspace_minutes",
    )  # fmt: skip
    list_filter = (PeriodFilter,)
    search_fields = ("user_id",)
    search_help_text = "A user id, whole"
    ordering = ("-day", "-id")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """A user's rows."""
        return queryset.filter(user_id=term)

    @admin.display(description="turns")
    def all_turns(self, row: Usage) -> str:
        """How many, and how many of them failed."""
        return f"{row.turns:,} ({row.failed_turns:,} failed)" if row.failed_turns else f"{row.turns:,}"

    @admin.display(description="input")
    def tokens_in(self, row: Usage) -> str:
        """Tokens, with separators."""
        return f"{row.input_tokens:,}"

    @admin.display(description="cached")
    def tokens_cached(self, row: Usage) -> str:
        """The same of those that were cached."""
        return f"{row.cached_tokens:,}"

    @admin.display(description="output")
    def tokens_out(self, row: Usage) -> str:
        """The same of the answers."""
        return f"{row.output_tokens:,}"

    @admin.display(description="tool calls")
    def calls(self, row: Usage) -> str:
        """With separators."""
        return f"{row.tool_calls:,}"

    @admin.display(description="cost (USD)")
    def cost(self, row: Usage) -> str:
        """To a hundredth of a cent."""
        return f"{row.cost_usd:,.4f}"

    @admin.display(description="workspace (min)")
    def workspace_minutes(self, row: Usage) -> str:
        """To a tenth."""
        return f"{row.workspace_s / 60:,.1f}"
