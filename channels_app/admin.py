"""Deliveries in the admin: looked at, not edited, since the rows follow what was sent."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override
from unfold.admin import ModelAdmin

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
