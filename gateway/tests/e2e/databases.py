"""Fresh databases in the tests' PostgreSQL, copied from one that was migrated once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from gateway.tests.e2e.processes import ROOT, START_S, environment

TEMPLATE = "e2e_template"
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
def template(folder: Path) -> Iterator[None]:
    """The database that fresh ones are copied from: migrated, with the demo users and their ACCOUNTS."""
    with fresh_database(TEMPLATE, source="template0") as url:
        command = [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", PREPARE]
        subprocess.run(command, cwd=ROOT, env=environment(folder, url), check=True, timeout=START_S)
        yield


@contextmanager
def fresh_database(name: str, *, source: str = TEMPLATE) -> Iterator[str]:
    """A database of that name, a copy of `source`, for the time of the block; yields its URL."""
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
