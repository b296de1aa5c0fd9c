"""In the admin: deliveries, looked at and not edited, since the rows follow what was sent; links, made and ended."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override
from unfold.admin import ModelAdmin

from accounts import audit
from accounts.links import LinkRefused
from accounts.models import ChannelLink
from channels_app.linking import check_account
from channels_app.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What left for the chat apps, and what became of it."""

    list_display = ["id", "lane", "user_id", "kind", "part", "state", "attempts", "receipt", "error", "created_at"]
    list_filter = ["state", "channel", "kind"]
    search_fields = ["lane", "user_id", "=turn"]
    # The text is the user's, not the staff's.
    exclude = ["body"]
    ordering = ["-id"]
    show_full_result_count = False

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Deliveries are made from the outbox."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What an edit would say is not what happened."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The digests stay for audit."""
        return False


class LinkForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A link; its account must have the form of its channel's."""

    def clean(self) -> dict[str, Any]:
        """Ask the channel."""
        cleaned: dict[str, Any] = super().clean() or {}
        channel, account = cleaned.get("channel_type"), cleaned.get("channel_user_id")
        if channel and account:
            try:
                check_account(channel, account)
            except LinkRefused as refused:
                self.add_error("channel_user_id", str(refused))
        return cleaned


@admin.register(ChannelLink)
class ChannelLinkAdmin(ModelAdmin):  # type: ignore[misc]
    """Who speaks through which account of another platform. A link is made or ended, never turned to somebody else."""

    form = LinkForm
    fields = ("user", "channel_type", "channel_user_id")
    list_display = ("channel_type", "channel_user_id", "name", "user", "created_at")
    list_select_related = ("user",)
    list_filter = ("channel_type",)
    search_fields = ("channel_user_id", "user__user_id")
    autocomplete_fields = ("user",)
    show_full_result_count = False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See above."""
        return False

    @override
    def save_model(self, request: HttpRequest, obj: ChannelLink, form: Any, change: bool) -> None:
        """Make the link, and say who did; Django's view does both in one transaction."""
        super().save_model(request, obj, form, change)
        event = audit.Event(actor=_actor(request), action="link.made", user_id=obj.user_id, object=str(obj))
        audit.record(event)

    @override
    def delete_model(self, request: HttpRequest, obj: ChannelLink) -> None:
        """End the link, and say who did."""
        _record_removal(request, obj)
        super().delete_model(request, obj)

    @override
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ChannelLink]) -> None:
        """The same for many."""
        with transaction.atomic():
            for row in queryset.select_for_update():
                _record_removal(request, row)
            super().delete_queryset(request, queryset)


def _record_removal(request: HttpRequest, row: ChannelLink) -> None:
    audit.record(audit.Event(actor=_actor(request), action="link.removed", user_id=row.user_id, object=str(row)))


def _actor(request: HttpRequest) -> str:
    return audit.staff(request.user.get_username())
