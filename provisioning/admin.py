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
from provisioning.backends import backend
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


class ReleaseFilter(admin.SimpleListFilter):
    """Those that run, by whether their next start would make another of them; where the backend can tell."""

    title = parameter_name = "release"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("this", "This release"), ("earlier", "An earlier release")] if backend().releases() else []

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> QuerySet[Workspace]:
        """The workspaces of the choice."""
        if self.value() not in {value for value, _ in self.lookup_choices}:
            return queryset
        known = queryset.filter(state=State.READY, facts__has_key="release")
        now = {"facts__release__in": list(backend().releases())}
        return known.filter(**now) if self.value() == "this" else known.exclude(**now)


@admin.register(Workspace)
class WorkspaceAdmin(ReadOnlyAdmin):
    """State, stage timings and last cause of each workspace."""

    list_display = ("name", "user_id", "state", "stage", "since", "start", "release", "last_cause")
    list_filter = (StateFilter, CauseFilter, ReleaseFilter)
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

    @admin.display(description="release")
    def release(self, row: Workspace) -> str:
        """Whether what runs was made by this release, or waits for its next start to be."""
        releases, made = backend().releases(), row.facts.get("release")
        if row.state != State.READY or not releases or made is None:
            return "–"
        return "this" if made in releases else "earlier: until its next start"

    @admin.display(description="last start")
    def start(self, row: Workspace) -> str:
        """What it took, and of that each stage."""
        stages = ", ".join(f"{stage} {ms}" for stage, ms in row.stage_ms.items())
        return f"{sum(row.stage_ms.values()) / 1000:.1f} s ({stages} ms)" if stages else "–"
