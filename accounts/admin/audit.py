"""Who changed what, for staff."""

import json
import re
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from typing_extensions import override

from accounts import audit
from accounts.admin.lists import ColumnFilter, ReadOnlyAdmin, values_of
from accounts.models import AuditEntry

# Of an entry's details in a list.
SHOWN_CHARACTERS = 240
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


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
        """The beginning, without what stayed as it was."""
        changed = ((name, value) for name, value in row.details.items() if not _is_same(value))
        text = "; ".join(f"{name}: {_words(value)}" for name, value in changed)
        return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"

    @admin.display(description="details")
    def all_changes(self, row: AuditEntry) -> SafeString:
        """All of it."""
        return format_html('<pre class="dx-pre">{}</pre>', json.dumps(row.details, indent=2, ensure_ascii=False))


def _is_same(value: Any) -> bool:
    """Whether it is a `[before, after]` that reads alike, such as None and {}."""
    return isinstance(value, list) and len(value) == 2 and _words(value[0]) == _words(value[1])


def _words(value: Any) -> str:
    """A value; `[before, after]` with an arrow, a moment as the other columns have it."""
    if isinstance(value, list) and len(value) == 2:
        return " → ".join(_words(each) for each in value)
    if value is None or value in ("", {}):
        return "–"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return (
        date_format(localtime(datetime.fromisoformat(value)), "DATETIME_FORMAT") if MOMENT.fullmatch(value) else value
    )
