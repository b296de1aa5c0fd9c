"""Print how long each page of the admin takes over big tables; exit 1 when one takes longer than the bound.

    python -m bench.admin [--users 1000000] [--rows 10000000] [--bound-ms 2000] [--keep DIR]

Fills a database of its own (an embedded PostgreSQL in a temporary folder, or in DIR, which is used again when it has been
filled before) with generate_series: a licence, a link, a workspace and an audit entry a user, `rows` rows of usage over 90
days, a fifth as many turns, a tenth as many deliveries. Then asks for the pages as a member of staff does, through Django.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.folders import passing_folder

DAYS = 90
TRIES = 3


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of usage")
    parser.add_argument("--bound-ms", type=float, default=2000)
    parser.add_argument("--keep", type=Path, help="a folder to keep the database in")
    options = parser.parse_args()
    prepare_django(options.keep or passing_folder())
    fill(users=options.users, rows=options.rows)
    slow = [page for page, took_ms in measure(options.users) if took_ms > options.bound_ms]
    if slow:
        sys.exit(f"Over {options.bound_ms:.0f} ms: {', '.join(slow)}")


def prepare_django(folder: Path) -> None:
    """Django on a database in `folder`."""
    from gateway.embedded import ensure_database_url  # noqa: PLC0415 - the database's URL comes before Django

    os.environ |= {
        "DATA_DIR": str(folder.absolute()), "DEBUG": "true", "SECRET_KEY": "only-for-a-measurement", "REDIS_URL": "",
        "LOG_LEVEL": "WARNING", "DATABASE_URL": ensure_database_url(folder, durable=False),
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
    }  # fmt: skip
    import django  # noqa: PLC0415

    django.setup()
    from django.conf import settings  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415

    settings.ALLOWED_HOSTS = ["testserver"]
    # With DEBUG, Django remembers every statement; production does not.
    settings.DEBUG = False
    call_command("migrate", verbosity=0)


USER = "'user-' || lpad((i * 7919 %% {users})::text, 8, '0')"
# UUIDs of version 7, in the order of time, as the gateway makes them.
ID = (
    "(lpad(to_hex((extract(epoch from {at}) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)"
    " || '8' || substr(md5(i::text), 4, 15))::uuid"
)
TABLES = {
    "user_licenses": (
        "users",
        "(user_id, email, license_type, features, resource_limits, mcp_server_url, expires_at)"
        " SELECT {user}, 'User.' || i || '@example.com', (ARRAY['free', 'free', 'free', 'pro', 'pro', 'enterprise'])[1 + i %% 6],"
        " '{{}}', '{{}}', '', CASE WHEN i %% 4 = 0 THEN NULL ELSE now() + ((i * 31 %% 700) - 200) * interval '1 day' END",
    ),
    "user_channel_links": (
        "users",
        "(id, user_id, channel_type, channel_user_id)"
        " SELECT {id}, {user}, (ARRAY['telegram', 'telegram', 'slack', 'discord'])[1 + i %% 4], (100000000 + i)::text",
    ),
    "workspaces": (
        "users",
        "(name, user_id, backend, state, last_cause, stage_ms) SELECT 'ws-' || substr(md5(i::text), 1, 13), {user}, 'kubernetes',"
        " CASE WHEN i %% 500 = 0 THEN 'ready' WHEN i %% 5000 = 1 THEN 'failed' ELSE 'stopped' END,"
        " CASE WHEN i %% 5000 = 1 THEN 'never_ready' ELSE '' END, '{{\"starting\": 2100}}'",
    ),
    "audit": (
        "users",
        "(id, at, actor, action, user_id, object, details) SELECT {id}, {at},"
        " CASE WHEN i %% 10 = 0 THEN 'staff:grace' ELSE 'gateway' END,"
        " (ARRAY['licence.made', 'licence.changed', 'link.made'])[1 + i %% 3], {user}, '', '{{\"tier\": [\"free\", \"pro\"]}}'",
    ),
    "usage": (
        "rows",
        "(user_id, day, model, channel, input_tokens, cached_tokens, output_tokens, cost_usd, turns, failed_turns, tool_calls)"
        " SELECT {user}, {at}::date, (ARRAY['anthropic/claude', 'openai/gpt'])[1 + i %% 2],"
        " (ARRAY['web', 'telegram'])[1 + i / 2 %% 2], 2000 + i %% 9000,"
        " i %% 2000, 300 + i %% 700, 0.0123, 1 + i %% 5, CASE WHEN i %% 97 = 0 THEN 1 ELSE 0 END, i %% 4",
    ),
    "turns": (
        "turns",
        "(id, user_id, conversation_id, channel, external_id, digest, content, wanted_model, reply_to, state, accepted_at,"
        " finished_at, attempts, fence, journal_floor, cancel_requested, model, answer, usage, error_code, error_message, dead)"
        " SELECT {id}, {user}, {id}, 'web', i::text, md5(i::text), '', '', '{{}}',"
        " CASE WHEN i > {count} - 200 THEN 'queued' WHEN i %% 1000 = 0 THEN 'failed' ELSE 'done' END, {at}, {at},"
        " 1, 1, 1, false, 'demo/demo', '', '{{}}', '', '', i %% 5000 = 0",
    ),
    "deliveries": (
        "deliveries",
        "(origin, part, user_id, channel, lane_id, target, kind, digest, state)"
        " SELECT i::text, 0, {user}, 'telegram', 'telegram:' || i %% {users}, '{{}}', 'done', md5(i::text),"
        " CASE WHEN i %% 10000 = 0 THEN 'failed' ELSE 'sent' END",
    ),
}  # fmt: skip


def fill(*, users: int, rows: int) -> None:
    """Fill every table, unless it was done before."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    from accounts.usage_days import close_days  # noqa: PLC0415

    if get_user_model().objects.filter(username="grace").exists():
        return
    counts = {"users": users, "rows": rows, "turns": rows // 5, "deliveries": rows // 10}
    for table, (unit, columns) in TABLES.items():
        began = time.perf_counter()
        count = counts[unit]
        at = f"(now() - ({count} - i) * (interval '{DAYS} days' / {count}))"
        sql = columns.format(user=USER.format(users=users), id=ID.format(at=at), at=at, users=users, count=count)
        with connection.cursor() as cursor, without_indexes(cursor, table):
            # No trigger tells of, and no foreign key looks at, a million rows.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(f"INSERT INTO {table} {sql} FROM generate_series(1, %s::bigint) AS i", [count])
            cursor.execute("SET session_replication_role = DEFAULT")
        print(f"{table:<20} {count:>12,} rows in {time.perf_counter() - began:6.1f} s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    began = time.perf_counter()
    while asyncio.run(close_days()):
        pass
    print(f"days summed up in {time.perf_counter() - began:.1f} s", flush=True)
    get_user_model().objects.create_superuser("grace")


@contextmanager
def without_indexes(cursor: Any, table: str) -> Iterator[None]:
    """Indexes that no primary key is are made anew afterwards: a tenth of the time that it takes to fill them row by row."""
    cursor.execute(
        "SELECT c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.conrelid = %s::regclass AND c.contype = 'u'",
        [table],
    )
    unique = cursor.fetchall()
    for name, _ in unique:
        cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    cursor.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " WHERE i.indrelid = %s::regclass AND NOT i.indisprimary",
        [table],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for name, definition in unique:
        cursor.execute(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        cursor.execute(definition)


def pages(users: int) -> dict[str, str]:
    """What is asked for, by what it shows."""
    from accounts.models import AuditEntry  # noqa: PLC0415
    from accounts.usage_models import Usage  # noqa: PLC0415
    from agents.models import Turn  # noqa: PLC0415
    from channels_app.models import Delivery  # noqa: PLC0415

    user = f"user-{users // 2:08}"
    deep = f"p={min(100, users // 1000)}"
    licences, links = "accounts/userlicence/", "accounts/channellink/"
    turns, deliveries = "agents/turn/", "channels_app/delivery/"
    workspaces, audit, usage = "provisioning/workspace/", "accounts/auditentry/", "accounts/usage/"
    lists = (licences, links, usage, turns, deliveries, workspaces, audit)
    queries = {
        licences: (
            "p=100", "tier=pro", "tier=pro&p=100", "state=active", "state=soon", "state=expired", "tier=free&state=expired&p=100",
            "q=u", f"q={user}", f"q={user[:-2]}", "q=user.77", "q=u&tier=enterprise&state=soon", "q=nobody",
        ),
        links: ("channel=slack", "p=100", f"q={user}", "q=100000077"),
        usage: ("p=100", "period=1", "period=30&p=100", f"q={user}", f"q={user}&period=7"),
        turns: ("p=100", "state=open", "state=failed", "state=dead", f"q={user}", f"q={user}&state=failed"),
        deliveries: ("p=100", "state=failed", "state=pending", f"q={user}"),
        workspaces: ("p=100", "state=ready", "state=failed", "state=starting", "cause=never_ready", f"q={user}"),
        audit: ("p=100", "action=link.made", "q=grace", "q=gateway", f"q={user}", "q=grace&action=link.made"),
    }  # fmt: skip
    details = {
        licences: user, usage: Usage.objects.latest("pk").pk, turns: Turn.objects.latest("pk").pk,
        deliveries: Delivery.objects.latest("pk").pk, audit: AuditEntry.objects.latest("pk").pk,
    }  # fmt: skip
    asked = {"dashboard": "", **{f"dashboard, {days} days": f"?days={days}" for days in (7, 90)}}
    asked |= {
        "autocomplete": f"autocomplete/?app_label=accounts&model_name=channellink&field_name=user&term={user[:-3]}"
    }
    for each in lists:
        asked[each] = each
        asked |= {f"{each} {query}": f"{each}?{query}" for query in queries[each]}
        if each in details:
            asked[f"{each} detail"] = f"{each}{details[each]}/change/"
    # The last page that is shown, where there are so many rows.
    return {name.replace("p=100", deep): address.replace("p=100", deep) for name, address in asked.items()}


def measure(users: int) -> Iterator[tuple[str, float]]:
    """Ask for each page TRIES times; give its name and the shortest time, in milliseconds: others use the machine as well."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    client, statements = Client(), Statements()
    client.force_login(get_user_model().objects.get(username="grace"))
    # What a process does once, such as compiling templates, is no page's time.
    for warm in ("/admin/auth/user/", "/admin/auth/user/add/"):
        client.get(warm)
    print(f"{'first':>8} {'best':>8} {'database':>9} {'statements':>10}  page (times in ms)")
    for name, address in pages(users).items():
        times: list[tuple[float, float, int]] = []
        for _ in range(TRIES):
            statements.clear()
            began = time.perf_counter()
            with connection.execute_wrapper(statements):
                status = client.get(f"/admin/{address}").status_code
            times.append(((time.perf_counter() - began) * 1000, sum(statements) * 1000, len(statements)))
            assert status == 200, f"{name}: {status}"
        best, database, number = min(times)
        print(f"{times[0][0]:8.1f} {best:8.1f} {database:9.1f} {number:10}  {name}", flush=True)
        yield name, best


class Statements(list[float]):
    """How long each statement took, in seconds; Django calls it around each."""

    def __call__(self, execute: Any, *statement: Any) -> Any:
        """Run the statement."""
        began = time.perf_counter()
        try:
            return execute(*statement)
        finally:
            self.append(time.perf_counter() - began)


if __name__ == "__main__":
    main()
