"""Turns, approvals and questions in the admin: looked at without anybody's words; turns that were given up tried again."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.admin.lists import ReadOnlyAdmin, actor_of
from agents.dead_letters import retry_all_dead
from agents.models import FINAL_STATES, Approval, Question, Schedule, Turn, TurnState, WaitState
from gateway.ids import is_id

WORDS = ("content", "answer", "history")


class StateFilter(admin.SimpleListFilter):
    """Turns that staff looks for; each choice has its index."""

    title = parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("open", "Waiting or running"), ("failed", "Failed"), ("dead", "Given up")]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        """The turns of the choice."""
        conditions = {
            "open": ~Q(state__in=FINAL_STATES),
            "failed": Q(state=TurnState.FAILED),
            "dead": Q(dead=True),
        }
        condition = conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    """The newest first."""

    list_display = (
        "accepted_at", "user_id", "channel", "standing", "error_code", "attempts", "model", "finished_at", "id",
    )  # fmt: skip
    list_filter = (StateFilter,)
    search_fields = ("id", "user_id")
    search_help_text = "A turn's id or a user id, whole"
    fields = (
        "id", "user_id", "conversation_id", "channel", "external_id", "state", "dead", "attempts", "wanted_model", "model",
        "usage", "error_code", "error_message", "cancel_requested", "accepted_at", "run_after", "started_at", "finished_at",
        "history_stored_at", "digest",
    )  # fmt: skip
    readonly_fields = ("conversation_id",)
    actions = ("retry",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Turn]:
        """Without what users and agents said."""
        rows: QuerySet[Turn] = super().get_queryset(request)
        return rows.defer(*WORDS)

    @override
    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Ids rise with time; a user's turns have an index by the time itself."""
        return ("-accepted_at", "-id") if request.GET.get("q") else ("-id",)

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """One turn, or a user's."""
        return queryset.filter(pk=term) if is_id(term) else queryset.filter(user_id=term)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whoever may change turns: the page itself changes nothing."""
        return request.user.has_perm("agents.change_turn")

    @admin.display(description="state")
    def standing(self, row: Turn) -> str:
        """The state, and whether the turn was given up."""
        state = row.get_state_display()
        return f"{state}, given up" if row.dead else state

    @admin.display(description="conversation")
    def conversation_id(self, row: Turn) -> str:
        """Its id: a title is made of what the user said."""
        return str(row.conversation_id)

    @admin.action(description="Try again those given up", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Turn]) -> None:
        """As `manage.py turns retry` does."""
        turns = [str(pk) for pk in queryset.values_list("pk", flat=True)]
        queued = async_to_sync(retry_all_dead)(turns, actor=actor_of(request))
        noun = "turn is" if queued == 1 else "turns are"
        messages.success(request, f"{queued} {noun} queued again.")
        if queued < len(turns):
            left = len(turns) - queued
            messages.warning(request, f"{left} left as before: not given up, or the text is no longer kept.")


class PendingFilter(admin.SimpleListFilter):
    """What waits, which has its index, or all."""

    title = parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("pending", "Waiting for its user")]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the choice."""
        return queryset.filter(state=WaitState.PENDING) if self.value() else queryset


class AwaitedAdmin(ReadOnlyAdmin):
    """The newest first. Staff decides nothing here: that is its user's alone."""

    list_display: tuple[str, ...] = ("created_at", "user_id", "state", "by_channel", "decided_at", "expires_at", "id")
    list_filter = (PendingFilter,)
    ordering = ("-id",)
    search_fields = ("id", "user_id")
    search_help_text = "An id or a user id, whole"
    readonly_fields = ("turn_id",)
    words: tuple[str, ...] = ()

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what was asked and said."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer(*self.words)

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """One of them, or a user's."""
        return queryset.filter(pk=term) if is_id(term) else queryset.filter(user_id=term)

    @admin.display(description="turn")
    def turn_id(self, row: Approval | Question) -> str:
        """Its id."""
        return str(row.turn_id)


@admin.register(Approval)
class ApprovalAdmin(AwaitedAdmin):
    """Who approved what: its digest stays when the texts are erased."""

    words = ("title", "details", "covered", "comment")
    list_display = (
        "created_at", "user_id", "workflow", "state", "by_channel", "decided_at", "expires_at", "id",
    )  # fmt: skip
    fields = (
        "id", "user_id", "turn_id", "workflow", "state", "by_channel", "created_at", "expires_at", "decided_at", "digest",
    )  # fmt: skip


@admin.register(Question)
class QuestionAdmin(AwaitedAdmin):
    """What the agent asked, without the words."""

    words = ("text", "schema", "values")
    fields = ("id", "user_id", "turn_id", "state", "by_channel", "created_at", "expires_at", "decided_at")


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """What the agent does by itself: when, where it is told and how that goes, without what it is about."""

    list_display = (
        "user_id", "number", "kind", "channel", "state", "due_at", "run_at", "failures", "fired_at", "delivered_at",
    )  # fmt: skip
    search_fields = ("user_id",)
    search_help_text = "A user id, whole"
    fields = (
        "id", "user_id", "number", "kind", "channel", "state", "due_at", "run_at", "failures", "armed", "fired_at",
        "delivered_at", "receipt", "created_at",
    )  # fmt: skip
    ordering = ("-id",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """Without what the user typed, and what was looked up for it."""
        rows: QuerySet[Schedule] = super().get_queryset(request)
        return rows.defer("spec", "reply_to", "reason", "source", "seen", "last_price")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """A user's."""
        return queryset.filter(user_id=term)
