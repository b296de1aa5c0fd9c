"""Where a deployment keeps what it writes, and which of its secrets stand there."""

from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from gateway.tests.e2e.processes import Deployment

# Settings that nobody may read anywhere.
SECRET_SETTINGS = (
    "SECRET_KEY",
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_WEBHOOK_SECRET",
    "OPENAI_API_KEY",
    "OIDC_CLIENT_SECRET",
    "WORKSPACE_SIGNING_KEY",
)
# Model answers, histories and the rest are text; a row as a whole is too.
ROWS = "SELECT t::text FROM {} t"
# What a browser keeps is what Django keeps: the session's key is this table's primary key.
BY_DESIGN = {"django_session"}
KNOWN_TABLES = {"turns", "audit", "user_licenses", "browser_sessions", "django_session"}


def secrets_of(running: Deployment) -> dict[str, str]:
    """The secrets of its settings; of a PEM the first line that is the key's own."""
    given = {name: running.environment.get(name, "") for name in SECRET_SETTINGS}
    given["DATABASE_URL"] = urlsplit(running.database_url).password or ""
    assert given["DATABASE_URL"]
    return {name: value.splitlines()[1] if "\n" in value else value for name, value in given.items() if value}


def kept_by(running: Deployment) -> dict[str, str]:
    """What its processes have printed and its database holds, by log and table."""
    printed = {process.log.name: process.printed() for process in running.started}
    with psycopg.connect(running.database_url) as conn:
        tables = {row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        assert tables >= KNOWN_TABLES
        rows = {
            table: "\n".join(row[0] for row in conn.execute(sql.SQL(ROWS).format(sql.Identifier(table))))
            for table in sorted(tables - BY_DESIGN)
        }
    return printed | rows


def found_in(places: dict[str, str], secrets: dict[str, str]) -> list[str]:
    """Which secret stands where."""
    return [
        f"{name} in {place}" for name, secret in secrets.items() for place, text in places.items() if secret in text
    ]
