"""Workspaces in the admin: looked at, not edited, since the rows follow what runs."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.admin.lists import ColumnFilter, ReadOnlyAdmin
from provisioning.errors import Cause
from provisioning.models import State, Workspace
from provisioning.names import workspace_name


class StateFilter(ColumnFilter):
    """Workspaces by state."""

    title = parameter_name = column = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(state.value, str(state.label).capitalize()) for state in State]


class CauseFilter(ColumnFilter):
    """Workspaces by why the last start failed."""

    title, parameter_name, column = "last failure", "cause", "last_cause"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(cause.value, cause.value.replace("_", " ").capitalize()) for cause in Cause]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> QuerySet[Workspace]:
        """The workspaces of the choice, in words that the index knows."""
        chosen = super().queryset(request, queryset)
        return chosen if chosen is queryset else chosen.exclude(last_cause="")


@admin.register(Workspace)
class WorkspaceAdmin(ReadOnlyAdmin):
    """State, stage timings and last cause of each workspace."""

    list_display = ("name", "user_id", "state", "stage", "since", "start", "last_cause")
    list_filter = (StateFilter, CauseFilter)
    search_fields = ("name", "user_id")
    search_help_text = "A workspace's name or a user id, whole"
    ordering = ("name",)
    # How the gateway reaches the workspace is no use to staff.
    exclude = ("facts", "url")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By name, which is made of the user id."""
        return queryset.filter(pk__in=[term, workspace_name(term)])

    @admin.display(description="last start")
    def start(self, row: Workspace) -> str:
        """What it took, and of that each stage."""
        stages = ", ".join(f"{stage} {ms}" for stage, ms in row.stage_ms.items())
        return f"{sum(row.stage_ms.values()) / 1000:.1f} s ({stages} ms)" if stages else "–"
