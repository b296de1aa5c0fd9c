"""Fresh databases in the tests' PostgreSQL, copied from one that was migrated once."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from gateway.testing.forking import Zygote
from gateway.tests.e2e.processes import ROOT, START_S, environment

# Test processes that work side by side have the server in common.
PREFIX = f"e2e_{os.environ.get('PYTEST_XDIST_WORKER', '')}"
TEMPLATE = "template"
# A Telegram account, and the chat with it, of each linked user.
ACCOUNTS = {"demo-pro": 7001, "demo-enterprise": 7002, "demo-free": 7003}
PREPARE = f"""
from django.core.management import call_command
from accounts.demo import make_demo_users
from accounts.links import link_channel
call_command("migrate", verbosity=0)
make_demo_users()
for user, account in {ACCOUNTS}.items():
    link_channel(user_id=user, channel_type="telegram", channel_user_id=str(account))
"""


@contextmanager
def template(folder: Path, forks: Zygote) -> Iterator[None]:
    """The database that fresh ones are copied from: migrated, with the demo users and their ACCOUNTS."""
    command = ["manage.py", "shell", "--verbosity=0", "-c", PREPARE]
    with _database(f"{PREFIX}_{TEMPLATE}", source="template0") as url, (folder / "template.log").open("w+b") as said:
        made = forks.start(*command, folder=ROOT, environment=environment(folder, url), output=said)
        code = made.wait(START_S)
        said.seek(0)
        assert code == 0, said.read().decode()
        yield


def fresh_database(name: str) -> AbstractContextManager[str]:
    """A database of that name, a copy of the template, for the time of the block; yields its URL."""
    return _database(f"{PREFIX}_{name}", source=f"{PREFIX}_{TEMPLATE}")


@contextmanager
def _database(name: str, *, source: str) -> Iterator[str]:
    server = os.environ["DATABASE_URL"]
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(drop)
        conn.execute(create)
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(drop)
