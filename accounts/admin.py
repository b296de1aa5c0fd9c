"""Licences for staff."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import audit
from accounts.licence_rules import LicenceInvalid, check_licence
from accounts.licences import content_of, record_change
from accounts.models import LicenceQuerySet, UserLicence
from accounts.tiers import Features, Limits

SOON = timedelta(days=30)


class DeepJSONField(forms.JSONField):
    """JSON whose depth is bounded by Python's own parser: past that it is an invalid value, not a fault of ours."""

    def to_python(self, value: Any) -> Any:
        """The value, or ValidationError."""
        try:
            return super().to_python(value)
        except RecursionError as error:
            raise forms.ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": "…"}
            ) from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the form shows again."""
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return InvalidJSONInput(data)


class LicenceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A licence whose overrides must fit the typed model; the faults stand at their fields."""

    class Meta:
        model = UserLicence
        fields = ["user_id", "email", "license_type", "expires_at", "features", "resource_limits", "mcp_server_url"]
        field_classes = {"features": DeepJSONField, "resource_limits": DeepJSONField}
        widgets = dict.fromkeys(("user_id", "email", "mcp_server_url"), UnfoldAdminTextInputWidget)
        help_texts = {
            "features": f"What differs from the tier, as JSON. Keys: {', '.join(Features.model_fields)}.",
            "resource_limits": f"The same. Keys: {', '.join(Limits.model_fields)}; null = no limit.",
        }

    def clean_features(self) -> Any:
        """An empty field means that nothing differs."""
        return {} if self.cleaned_data["features"] is None else self.cleaned_data["features"]

    def clean_resource_limits(self) -> Any:
        """The same."""
        return {} if self.cleaned_data["resource_limits"] is None else self.cleaned_data["resource_limits"]

    def _post_clean(self) -> None:
        """Check the instance as a whole, once Django has put the fields' values into it."""
        super()._post_clean()  # type: ignore[misc]  # Django's hook for this; the stubs leave it out
        if self.errors:
            return
        try:
            check_licence(self.instance)
        except LicenceInvalid as error:
            for column, fault in error.faults.items():
                said = f"This {fault}" if fault.startswith("must ") else fault
                self.add_error(column if column in self.fields else None, said)


class StateFilter(admin.SimpleListFilter):
    """Licences by whether they are in force, by the database's clock."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """The choices."""
        return [("active", "In force"), ("soon", "Expires within 30 days"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UserLicence]) -> QuerySet[UserLicence]:  # noqa: ARG002
        """The licences of the choice."""
        licences = LicenceQuerySet(UserLicence, query=queryset.query, using=queryset.db)
        if self.value() == "soon":
            return licences.expiring_within(SOON)
        return {"active": licences.active, "expired": licences.expired}.get(self.value() or "", licences.all)()


@admin.register(UserLicence)
class LicenceAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Search, filter and change licences."""

    form = LicenceForm
    list_display = ("user_id", "email", "license_type", "expires_at", "updated_at")
    list_filter = ("license_type", StateFilter)
    search_fields = ("user_id", "email")
    search_help_text = "User id or e-mail address"
    ordering = ("user_id",)
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: UserLicence | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """A user id never changes: links and turns stand under it."""
        return ("user_id",) if obj else ()

    def save_model(self, request: HttpRequest, obj: UserLicence, form: Any, change: bool) -> None:  # noqa: PLR0917 - Django's
        """Save the licence, and who changed what; Django's view does both in one transaction."""
        stored = UserLicence.objects.select_for_update().filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        before = None if stored is None else content_of(stored)
        record_change(obj.user_id, before, content_of(obj), actor=_actor(request))

    def delete_model(self, request: HttpRequest, obj: UserLicence) -> None:
        """Remove the licence, and say who did."""
        record_change(obj.user_id, content_of(obj), None, actor=_actor(request))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UserLicence]) -> None:
        """The same for many."""
        with transaction.atomic():
            for row in queryset.select_for_update():
                record_change(row.user_id, content_of(row), None, actor=_actor(request))
            super().delete_queryset(request, queryset)


def _actor(request: HttpRequest) -> str:
    return audit.staff(request.user.get_username())
