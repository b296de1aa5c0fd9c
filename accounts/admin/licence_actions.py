"""What staff does to the licences that are ticked: extend them, suspend them, give them another tier."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin.lists import actor_of
from accounts.licence_batches import Batch, change_tiers, extend_licences, suspend_licences
from accounts.models import TIERS, UserLicence
from accounts.tier_changes import tier_change

Licences = QuerySet[UserLicence]
CHANGE = ["change"]


class TierForm(forms.Form):
    """Which tier."""

    tier = forms.ChoiceField(choices=TIERS, widget=UnfoldAdminSelectWidget)


def _extend(days: int) -> Callable[[Any, HttpRequest, Licences], None]:
    def extend(_admin: Any, request: HttpRequest, queryset: Licences) -> None:
        done = extend_licences(_ids(queryset), period=timedelta(days=days), actor=actor_of(request))
        _say(request, done, f"extended by {days} days", left="never expires")

    extend.__name__ = f"extend_{days}"
    return admin.action(extend, description=f"Extend by {days} days", permissions=CHANGE)


class LicenceActions:
    """The actions of LicenceAdmin; suspending and changing the tier ask first."""

    actions = ("extend_30", "extend_90", "extend_365", "change_tier", "suspend")
    extend_30 = _extend(30)
    extend_90 = _extend(90)
    extend_365 = _extend(365)

    @admin.action(description="Suspend now …", permissions=CHANGE)
    def suspend(self, request: HttpRequest, queryset: Licences) -> HttpResponse | None:
        """Ask, then end the licences."""
        if "confirmed" not in request.POST:
            return _page(self, request, queryset, name="suspend", title="Suspend licences")
        _say(request, suspend_licences(_ids(queryset), actor=actor_of(request)), "suspended", left="expired before")
        return None

    @admin.action(description="Change tier …", permissions=CHANGE)
    def change_tier(self, request: HttpRequest, queryset: Licences) -> HttpResponse | None:
        """Ask for the tier, show what it changes, then change it."""
        form = TierForm(request.POST if "tier" in request.POST else None)
        if not form.is_valid():
            return _page(self, request, queryset, name="change_tier", title="Change tier", form=form)
        tier = form.cleaned_data["tier"]
        if "confirmed" in request.POST:
            _say(
                request,
                change_tiers(_ids(queryset), tier=tier, actor=actor_of(request)),
                f"now {tier}",
                left="the same tier",
            )
            return None
        changes = [tier_change(row, tier) for row in queryset]
        shown = {"form": form, "tier": tier, "changes": changes}
        return _page(self, request, queryset, name="change_tier", title="Change tier", **shown)


def _ids(queryset: Licences) -> list[str]:
    return list(queryset.values_list("pk", flat=True))


def _page(page: Any, request: HttpRequest, queryset: Licences, *, name: str, **context: Any) -> HttpResponse:
    shown = {
        **page.admin_site.each_context(request),
        "opts": page.model._meta,
        "media": page.media,
        "action_name": name,
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "licences": queryset,
        "back": request.get_full_path(),
        **context,
    }
    return TemplateResponse(request, f"admin/accounts/userlicence/{name}.html", shown)


def _say(request: HttpRequest, done: Batch, what: str, *, left: str) -> None:
    noun = "licence is" if done.changed == 1 else "licences are"
    rest = f" {done.left} unchanged ({left})." if done.left else ""
    messages.success(request, f"{done.changed} {noun} {what}.{rest}")
