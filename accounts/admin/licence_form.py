"""The form of a licence."""

from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.licence_rules import LicenceInvalid, check_licence
from accounts.licences import LicenceChange
from accounts.models import UserLicence
from accounts.tiers import Features, Limits


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


CHANGED_MEANWHILE = (
    "Somebody else has changed this licence since this page was opened, so nothing was saved. Open the page again to see how it "
    "is now."
)


class LicenceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A licence whose overrides must fit the typed model; the faults stand at their fields.

    It sets all of a licence, so one that was changed since the page was opened (a suspension, say) is not saved.
    """

    # When the licence had been changed last, as the page was opened.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = UserLicence
        fields = ["user_id", "email", "license_type", "expires_at", "features", "resource_limits", "mcp_server_url"]
        field_classes = {"features": DeepJSONField, "resource_limits": DeepJSONField}
        widgets = dict.fromkeys(("user_id", "email", "mcp_server_url"), UnfoldAdminTextInputWidget) | dict.fromkeys(
            ("features", "resource_limits"), UnfoldAdminTextareaWidget({"rows": 3, "spellcheck": "false"})
        )
        labels = {"mcp_server_url": "MCP server URL", "email": "E-mail address"}
        help_texts = {
            "features": f"What differs from the tier, as JSON. Keys: {', '.join(Features.model_fields)}.",
            "resource_limits": f"The same. Keys: {', '.join(Limits.model_fields)}; null = no limit.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance._state.adding:
            self.initial["seen"] = self.instance.updated_at.isoformat()

    def clean(self) -> dict[str, Any]:
        """Compare when the licence was changed."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("seen", "") not in {"", self.initial.get("seen", "")}:
            raise forms.ValidationError(CHANGED_MEANWHILE)
        return cleaned

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


def change_of(row: UserLicence) -> LicenceChange:
    """What a valid form says of a licence, which is all of it."""
    return LicenceChange(
        tier=row.license_type,  # type: ignore[arg-type]  # check_licence has seen it
        email=row.email,
        expires_at=row.expires_at,
        never_expires=row.expires_at is None,
        features=row.features,
        limits=row.resource_limits,
        mcp_server_url=row.mcp_server_url,
        replace=True,
    )
