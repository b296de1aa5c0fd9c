"""Staff's own accounts and groups: seen by Django's permissions, changed by superusers only, each change in the audit."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from typing_extensions import override
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.admin.lists import actor_of

admin.site.unregister((User, Group))
# Digests of passwords are no details.
UNTOLD = frozenset({"password1", "password2", "usable_password"})


class AuditedAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Writes to the audit where Django would write to its own log, in the same transaction.

    Whoever may change staff's accounts could give themselves every permission, so only those who have them may.
    """

    noun: str
    show_full_result_count = False

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return bool(super().has_add_permission(request)) and _is_superuser(request)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(super().has_change_permission(request, obj)) and _is_superuser(request)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(super().has_delete_permission(request, obj)) and _is_superuser(request)

    @override
    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """What differs, `[before, after]` a field, for the hooks below."""
        return _differences(form, add=add)

    @override
    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """An account or group was made."""
        self._record(request, f"{self.noun}.made", obj, details=message)

    @override
    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """It was changed, unless nothing differs."""
        if message:
            self._record(request, f"{self.noun}.changed", obj, details=message)

    @override
    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> None:
        """Some were removed."""
        for obj in queryset:
            self._record(request, f"{self.noun}.removed", obj, details={})

    def _record(self, request: HttpRequest, action: str, obj: Model, *, details: dict[str, Any]) -> None:
        thing = f"{self.noun}:{obj}"
        audit.record(audit.Event(actor=actor_of(request), action=action, object=thing, details=details))


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):  # type: ignore[misc,type-arg]
    """Members of staff. Users of the gateway have no account here."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    noun = "staff"
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AuditedAdmin):  # type: ignore[misc]
    """What members of staff may do, by group."""

    noun = "group"


def _differences(form: Any, *, add: bool) -> dict[str, Any]:
    if "password" in form.changed_data:
        return {"password": "set"}
    names = [name for name in form.changed_data if name not in UNTOLD]
    pairs = {
        name: [None if add else _plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))] for name in names
    }
    return {name: [before, after] for name, (before, after) in pairs.items() if add or before != after}


def _plain(value: Any) -> Any:
    """JSON of a field's value: rows by their names."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return sorted(str(each) for each in value)
    return str(value)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
