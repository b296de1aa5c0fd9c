"""Workspaces in the admin: looked at, started and stopped, not edited, since the rows follow what runs."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts import audit
from accounts.admin.lists import ColumnFilter, ReadOnlyAdmin, actor_of
from provisioning.bulk import restart_all, start_all, stop_all
from provisioning.errors import Cause
from provisioning.models import State, Workspace
from provisioning.names import workspace_name

Work = Callable[[Collection[str]], Awaitable[dict[str, str]]]


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
    actions = ("start_them", "stop_them", "restart_them")
    # How the gateway reaches the workspace is no use to staff.
    exclude = ("facts", "url")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By name, which is made of the user id."""
        return queryset.filter(pk__in=[term, workspace_name(term)])

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whoever may change workspaces: the page itself changes nothing."""
        return request.user.has_perm("provisioning.change_workspace")

    @admin.action(description="Start", permissions=["run"])
    def start_them(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        """As `manage.py workspace start` does; the starts go on by themselves."""
        self._act(request, queryset, action=("started", start_all, "begin to start"))

    @admin.action(description="Stop (what is in flight has 5 s)", permissions=["run"])
    def stop_them(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        """As `manage.py workspace stop` does."""
        self._act(request, queryset, action=("stopped", stop_all, "are stopped"))

    @admin.action(description="Restart (what is in flight has 5 s)", permissions=["run"])
    def restart_them(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        """Stop, and begin to start again: a changed image or limit holds from then on."""
        self._act(request, queryset, action=("restarted", restart_all, "begin to start again"))

    def _act(self, request: HttpRequest, queryset: QuerySet[Workspace], *, action: tuple[str, Work, str]) -> None:
        done, work, words = action
        users = list(queryset.values_list("user_id", flat=True))
        failed = async_to_sync(work)(users)
        actor = actor_of(request)
        audit.record_all(
            audit.Event(actor=actor, action=f"workspace.{done}", user_id=user) for user in users if user not in failed
        )
        messages.success(request, f"{len(users) - len(failed)} of {len(users)} workspaces {words}.")
        for user, why in failed.items():
            messages.warning(request, f"{user}: {why}")

    @admin.display(description="last start")
    def start(self, row: Workspace) -> str:
        """What it took, and of that each stage."""
        stages = ", ".join(f"{stage} {ms}" for stage, ms in row.stage_ms.items())
        return f"{sum(row.stage_ms.values()) / 1000:.1f} s ({stages} ms)" if stages else "–"
