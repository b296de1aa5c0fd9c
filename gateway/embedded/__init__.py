"""Servers that the gateway carries with it, so that a laptop needs none.

PostgreSQL serves every command, Valkey serves tests and several processes on one machine. Nothing here imports Django:
the database's URL must be known before the settings are read.
"""

from gateway.embedded.errors import EmbeddedServerError
from gateway.embedded.postgres import ensure_database_url
from gateway.embedded.valkey import running_valkey

__all__ = ["EmbeddedServerError", "ensure_database_url", "running_valkey"]
