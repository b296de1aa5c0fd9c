"""What can go wrong with a request that was understood, in the words and codes of the socket and the API alike."""

from dataclasses import dataclass

import psycopg
from django import db
from redis.exceptions import RedisError

from accounts.licences import NotLicensed
from agents.errors import AgentFailed, Refused
from provisioning.errors import WorkspaceFailed

RETRY_AFTER_S = 2

# The browser's session is read by Django, which tells of a database that is away by exceptions of its own.
_DATABASE_AWAY = (psycopg.OperationalError, db.OperationalError, db.InterfaceError)
# Everything else is a fault of ours: it is logged with its traceback and told as `internal`.
EXPECTED = (Refused, NotLicensed, AgentFailed, WorkspaceFailed, *_DATABASE_AWAY, RedisError)

UNLICENSED_CODES = frozenset({"no_licence", "licence_expired"})


@dataclass(frozen=True, slots=True)
class Problem:
    """A code for programs, a sentence for the user, and when another try may help (seconds)."""

    code: str
    message: str
    retry_after_s: int | None = None


UNAVAILABLE = Problem("unavailable", "The service is not available. Try again in a moment.", RETRY_AFTER_S)
NO_TOKEN = Problem("unauthorized", "Send a token in the header Authorization: Bearer.")
INTERNAL = Problem("internal", "Something went wrong on our side.")


def may_pass(error: Exception) -> bool:
    """Whether the same, asked again later, may go well."""
    if isinstance(error, AgentFailed):
        return error.retryable
    return not isinstance(error, (Refused, NotLicensed))


def explain(error: Exception) -> Problem:
    """The problem that one of EXPECTED is; nothing of a database's or a server's own message is in it."""
    if isinstance(error, Refused):
        return Problem(error.code, error.message, error.retry_after_s)
    if isinstance(error, NotLicensed):
        return Problem(error.code, str(error))
    if isinstance(error, AgentFailed):
        return Problem(error.code, error.message)
    if isinstance(error, WorkspaceFailed):
        return Problem("workspace_failed", error.message)
    return UNAVAILABLE
