"""No page of the admin reads more than its rows, however long a table is. Source: docs/operations.md, The admin.

The tables of `make bench-admin` on a small scale; PostgreSQL says of each statement how many rows it looked at.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.admin.lists import MOST_ROWS
from bench.admin import TABLES, fill, pages

USERS, ROWS = 20_000, 60_000
BIG = frozenset(TABLES)
# A list's count, or the last of its pages; tests of a filter that seldom holds look at a few more.
MOST_READ = MOST_ROWS + 1_000
# Whether a common value stands in a table at all is seen at once, without an index.
GLANCE = 100
# Session, user, permissions; count and rows; a filter's choices; what a search means; a detail's own.
MOST_STATEMENTS = 10
PAGES = (
    "dashboard", "accounts/userlicence/", "accounts/channellink/", "accounts/usage/", "agents/turn/",
    "channels_app/delivery/", "provisioning/workspace/", "accounts/auditentry/", "autocomplete",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Client]:
    """Staff before full tables, which are emptied again."""
    with django_db_blocker.unblock():
        fill(users=USERS, rows=ROWS)
        client = Client()
        client.force_login(User.objects.get(username="grace"))
        yield client
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join([*sorted(BIG), 'usage_days', 'auth_user'])} CASCADE")


class Selects(list[tuple[str, Any]]):
    """The statements that read."""

    def __call__(self, execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            self.append((sql, params))
        return execute(sql, params, *rest)


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Of each scan of a big table its kind, its table, and the rows that it looked at."""
    if plan.get("Relation Name") in BIG:
        read = sum(
            plan.get(key, 0) for key in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        )
        yield plan["Node Type"], plan["Relation Name"], round(read * plan["Actual Loops"])
    for part in plan.get("Plans", ()):
        yield from scans(part)


def explain(sql: str, params: Any) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        answer = cursor.fetchone()[0]
    plan: dict[str, Any] = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    return plan


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_no_more_than_it_shows(page: str, filled: Client) -> None:
    asked = {name: address for name, address in pages(USERS).items() if name.startswith(page)}
    assert asked

    for name, address in asked.items():
        selects = Selects()
        with connection.execute_wrapper(selects):
            assert filled.get(f"/admin/{address}").status_code == 200, name
        assert len(selects) <= MOST_STATEMENTS, name
        for sql, params in selects:
            for kind, table, read in scans(explain(sql, params)):
                assert kind != "Seq Scan" or read <= GLANCE, f"{name}: {table} by {sql}"
                assert read <= MOST_READ, f"{name}: {read} rows of {table} by {sql}"
