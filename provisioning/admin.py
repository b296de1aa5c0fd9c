"""Workspaces in the admin: looked at, not edited, since the rows follow what runs."""

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override
from unfold.admin import ModelAdmin

from provisioning.models import Workspace


@admin.register(Workspace)
class WorkspaceAdmin(ModelAdmin):  # type: ignore[misc] # unfold has no types
    """State, stage timings and last cause of each workspace."""

    list_display = ["name", "user_id", "state", "stage", "since", "stage_ms", "last_cause"]
    list_filter = ["state", "backend", "last_cause"]
    search_fields = ["name", "user_id"]

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workspaces are made by being started."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """What an edit would say is not what runs."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """`manage.py workspace delete` ends the workspace first."""
        return False
