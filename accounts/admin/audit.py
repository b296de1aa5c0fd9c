"""Who changed what, for staff."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from typing_extensions import override

from accounts import audit
from accounts.admin.lists import ColumnFilter, ReadOnlyAdmin, values_of
from accounts.models import AuditEntry

# Of an entry's details in a list.
SHOWN_CHARACTERS = 120


class ActionFilter(ColumnFilter):
    """Entries by what was done."""

    title = parameter_name = column = "action"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What was ever done."""
        return [(value, value) for value in values_of(AuditEntry, "action")]


@admin.register(AuditEntry)
class AuditAdmin(ReadOnlyAdmin):
    """The newest first."""

    list_display = ("at", "actor", "action", "user_id", "object", "changes")
    list_filter = (ActionFilter,)
    fields = ("at", "actor", "action", "user_id", "object", "all_changes")
    readonly_fields = ("all_changes",)
    search_fields = ("user_id", "actor", "object")
    search_help_text = "A user id, an object or a member of staff, whole"
    ordering = ("-id",)

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Entries about a user or thing, or else of an actor; one condition, so that one index gives them in order."""
        meanings = [Q(user_id=term), Q(object=term), Q(actor=audit.staff(term)), Q(actor=term)]
        for meaning in meanings[:-1]:
            found: QuerySet[Any] = queryset.filter(meaning)
            if found.exists():
                return found
        return queryset.filter(meanings[-1])

    @admin.display(description="details")
    def changes(self, row: AuditEntry) -> str:
        """The beginning."""
        text = "; ".join(f"{name}: {_words(value)}" for name, value in row.details.items())
        return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"

    @admin.display(description="details")
    def all_changes(self, row: AuditEntry) -> SafeString:
        """All of it."""
        return format_html('<pre class="dx-pre">{}</pre>', json.dumps(row.details, indent=2, ensure_ascii=False))


def _words(value: Any) -> str:
    """A value; `[before, after]` with an arrow."""
    if isinstance(value, list) and len(value) == 2:
        return " → ".join(_words(each) for each in value)
    if value is None or value in ("", {}):
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
