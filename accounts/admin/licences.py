"""Licences for staff: found by the beginning of an id or address, filtered, changed by the use cases that commands call."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.db.models.functions import Collate, Lower
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from typing_extensions import override

from accounts.admin.licence_actions import LicenceActions
from accounts.admin.licence_form import LicenceForm, change_of
from accounts.admin.lists import ColumnFilter, ListAdmin, actor_of
from accounts.licence_batches import remove_licences
from accounts.licences import set_licence
from accounts.models import EXPIRY, TIERS, LicenceQuerySet, UserLicence
from accounts.tier_changes import allowed_by
from accounts.usage_models import Budget

SOON = timedelta(days=30)
STATES = {"active": "In force", "soon": "Expires within 30 days", "expired": "Expired"}
# What a search shows: of ids and of addresses, those that come first.
MOST_FOUND = 200
PAGES_OF_USER = tuple(
    (title, f"admin:{model}_changelist")
    for title, model in (
        ("Channel links", "accounts_channellink"),
        ("Usage", "accounts_usage"),
        ("Turns", "agents_turn"),
        ("Deliveries", "channels_app_delivery"),
        ("Workspace", "provisioning_workspace"),
        ("Audit", "accounts_auditentry"),
    )
)


class StateFilter(admin.SimpleListFilter):
    """Licences by whether they are in force, by the database's clock."""

    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return list(STATES.items())

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[UserLicence]) -> QuerySet[UserLicence]:
        """The licences of the choice."""
        licences = LicenceQuerySet(UserLicence, query=queryset.query, using=queryset.db)
        if self.value() == "soon":
            return licences.expiring_within(SOON)
        return {"active": licences.active, "expired": licences.expired}.get(self.value() or "", licences.all)()


class TierFilter(ColumnFilter):
    """Licences by tier."""

    title = parameter_name = "tier"
    column = "license_type"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return list(TIERS)


@admin.register(UserLicence)
class LicenceAdmin(LicenceActions, ListAdmin):
    """Search, filter and change licences."""

    form = LicenceForm
    fields = ("user_id", "email", "license_type", "expires_at", "features", "resource_limits", "mcp_server_url")
    list_display = ("user_id", "email", "license_type", "expires_at", "updated_at")
    list_filter = (TierFilter, StateFilter)
    search_fields = ("user_id", "email")
    search_help_text = f"How a user id or an e-mail address begins; the first {MOST_FOUND} of each are shown"
    ordering = ("user_id",)
    warn_unsaved_form = True
    change_form_after_template = "admin/accounts/userlicence/allowed.html"

    @override
    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """By user; by expiry where the question is about it."""
        return (EXPIRY, "user_id") if request.GET.get("state") in STATES else ("user_id",)

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Both columns in the order of their index, as far as a page can show."""
        by_id = queryset.alias(begins=Collate("user_id", "C")).filter(begins__startswith=term)
        by_email = queryset.alias(begins=Collate(Lower("email"), "C")).filter(begins__startswith=term.lower())
        found = [pk for each in (by_id, by_email) for pk in each.order_by("begins").values_list("pk")[:MOST_FOUND]]
        return queryset.filter(pk__in=[pk for (pk,) in found])

    @override
    def get_fields(self, request: HttpRequest, obj: UserLicence | None = None) -> tuple[str, ...]:
        """With what the form compares, for those who can save it."""
        return (*self.fields, "seen") if self.has_change_permission(request, obj) else self.fields

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: UserLicence | None = None) -> tuple[str, ...]:
        """A user id never changes: links and turns stand under it."""
        return ("user_id",) if obj else ()

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form, and what the licence allows and has used."""
        row = None if object_id is None else self.get_object(request, unquote(object_id))
        shown = {} if row is None else _shown(row)
        response: HttpResponse = super().changeform_view(request, object_id, form_url, shown | (extra_context or {}))
        return response

    @override
    def save_model(self, request: HttpRequest, obj: UserLicence, form: Any, change: bool) -> None:
        """As `manage.py set_licence` does."""
        set_licence(obj.user_id, change_of(form.instance), actor=actor_of(request))

    @override
    def delete_model(self, request: HttpRequest, obj: UserLicence) -> None:
        """Remove the licence, and say who did."""
        remove_licences([obj.user_id], actor=actor_of(request))

    @override
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UserLicence]) -> None:
        """The same for many."""
        remove_licences(list(queryset.values_list("pk", flat=True)), actor=actor_of(request))


def _shown(row: UserLicence) -> dict[str, Any]:
    month = timezone.now().date().replace(day=1)
    query = urlencode({"q": row.user_id})
    return {
        "allowed": allowed_by(row),
        "budget": Budget.objects.filter(user_id=row.user_id, month=month).first(),
        "related": [{"title": title, "url": f"{reverse(page)}?{query}"} for title, page in PAGES_OF_USER],
    }
