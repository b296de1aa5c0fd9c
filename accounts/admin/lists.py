"""Lists that stay fast however long their table is: an order that an index gives, a bounded count, searches by index.

What a page may ask the database for is decided here and not by its address: columns aren't sortable, only the page's own
filters are looked up, and nothing is counted past MOST_ROWS.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from typing_extensions import override
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts import audit
from accounts.tokens import is_user_id

# 100 pages: whoever is looking for something further away searches or filters.
MOST_ROWS = 5_000
PER_PAGE = 50
# What a filter offers; a column with more values than this is no choice.
MOST_CHOICES = 50


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """The first MOST_ROWS rows, in pages; `more` = there are others behind them."""

    template_name = "admin/bounded_pagination.html"

    @cached_property
    def count(self) -> int:
        """How many rows there are to show."""
        return min(self._found, MOST_ROWS)

    @property
    def more(self) -> bool:
        """Whether not all rows are shown."""
        return self._found > MOST_ROWS

    @cached_property
    def _found(self) -> int:
        rows: Any = self.object_list[: MOST_ROWS + 1]
        return int(rows.count())


class FixedOrderChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """A list in the order that its admin says, whatever `?o=` asks for."""

    @override
    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The admin's, which must be total: pages would overlap otherwise."""
        return list(self.model_admin.get_ordering(request))

    @override
    def get_results(self, request: HttpRequest) -> None:
        """The page; its count stands below it, so that the header need not compare it with that of all rows."""
        super().get_results(request)
        self.full_result_count = self.result_count


class ListAdmin(ModelAdmin):  # type: ignore[misc]
    """The base of every page over a table that grows. Subclasses give `ordering` and, with `search_fields`, `search`.

    Who changed what stands in the audit, written by the use cases; Django's own log is not kept beside it.
    """

    paginator = BoundedPaginator
    list_per_page = PER_PAGE
    list_max_show_all = 0
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by: Sequence[str] = ()

    @override
    def get_changelist(self, request: HttpRequest, **_options: Any) -> type[ChangeList]:
        """The list whose order is fixed."""
        return FixedOrderChangeList

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """No lookup from the address but the page's own filters."""
        return lookup in {getattr(each, "parameter_name", None) for each in self.list_filter}

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that `search` finds; all without a term, none for one that no row can hold."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return (self.search(queryset, term) if is_user_id(term) else queryset.none()), False

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:  # noqa: ARG002 - the interface's
        """The rows of `queryset` that `term` means, by an index."""
        return queryset.none()

    @override
    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; None for an id that PostgreSQL could not even be asked for."""
        return None if "\x00" in object_id else super().get_object(request, object_id, from_field)

    @override
    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run an action on the rows that are ticked, never on all pages at once."""
        if request.POST.get("select_across", "0") != "0":
            raise BadRequest("Actions run on the rows of one page.")
        response: HttpResponse | None = super().response_action(request, queryset)
        return response

    @override
    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What the audit knows of the object."""
        query = urlencode({"q": unquote(object_id)})
        return HttpResponseRedirect(f"{reverse('admin:accounts_auditentry_changelist')}?{query}")

    @override
    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """See the class."""

    @override
    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """See the class."""

    @override
    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """See the class."""


class ReadOnlyAdmin(ListAdmin):
    """Rows that are looked at, not edited: they follow what happens."""

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class ColumnFilter(admin.SimpleListFilter):
    """Rows by one column; subclasses give `column` and, as `lookups`, its values."""

    column: str

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows with the value that is chosen."""
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(**{self.column: self.value()}) if self.value() in known else queryset


def actor_of(request: HttpRequest) -> str:
    """The member of staff, as the audit names them."""
    return audit.staff(request.user.get_username())


def values_of(model: type[Model], column: str) -> list[str]:
    """The values that stand in an indexed column, each found by one step in its index; at most MOST_CHOICES."""
    table, name = (connection.ops.quote_name(part) for part in (model._meta.db_table, column))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE found AS ((SELECT {name} AS value FROM {table} ORDER BY {name} LIMIT 1) UNION ALL"
            f" SELECT (SELECT {name} FROM {table} WHERE {name} > found.value ORDER BY {name} LIMIT 1) FROM found"
            " WHERE found.value IS NOT NULL) SELECT value FROM found WHERE value IS NOT NULL LIMIT %s",
            [MOST_CHOICES],
        )
        return [value for (value,) in cursor.fetchall()]
