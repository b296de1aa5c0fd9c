"""Licences and channel links for staff."""

from typing import Any

from django import forms
from django.contrib import admin
from unfold.admin import ModelAdmin

from accounts.licences import LicenceInvalid, check_licence
from accounts.models import ChannelLink, UserLicence


class LicenceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A licence whose overrides must fit the typed model."""

    class Meta:
        model = UserLicence
        fields = ["user_id", "email", "license_type", "expires_at", "features", "resource_limits", "mcp_server_url"]
        widgets = {"user_id": forms.TextInput, "email": forms.TextInput, "mcp_server_url": forms.TextInput}

    def clean(self) -> dict[str, Any] | None:
        """Check the overrides against the tier."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        values = {name: self.cleaned_data.get(name) for name in self.Meta.fields}
        values |= {name: values[name] or {} for name in ("features", "resource_limits")}
        try:
            check_licence(UserLicence(**values))
        except LicenceInvalid as error:
            raise forms.ValidationError(str(error)) from error
        return self.cleaned_data | {name: values[name] for name in ("features", "resource_limits")}


@admin.register(UserLicence)
class LicenceAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Search, filter and change licences."""

    form = LicenceForm
    list_display = ("user_id", "email", "license_type", "expires_at", "updated_at")
    list_filter = ("license_type",)
    search_fields = ("user_id", "email")
    ordering = ("user_id",)
    show_full_result_count = False

    def get_readonly_fields(self, request: Any, obj: UserLicence | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """A user id never changes: links and turns stand under it."""
        return ("user_id",) if obj else ()


@admin.register(ChannelLink)
class ChannelLinkAdmin(ModelAdmin):  # type: ignore[misc]
    """Who speaks through which account of another platform."""

    list_display = ("channel_type", "channel_user_id", "user", "created_at")
    list_filter = ("channel_type",)
    search_fields = ("channel_user_id", "user__user_id")
    autocomplete_fields = ("user",)
    show_full_result_count = False
