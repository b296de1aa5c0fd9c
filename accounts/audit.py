"""Who did what to whom: one row a change, written in the transaction that makes it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from accounts.models import AuditEntry
from gateway.db import Connection
from gateway.ids import new_uuid
from gateway.logs import without_secrets

# What no person decided: a rule of the gateway, such as AUTO_ENROL_TIER.
GATEWAY = "gateway"
# A person with a shell: who it was stands in the host's own log.
COMMAND = "command"


def staff(username: str) -> str:
    """The actor that a member of staff is."""
    return f"staff:{username}"


def user(user_id: str) -> str:
    """The actor that a user is."""
    return f"user:{user_id}"


def chat(channel_type: str, channel_user_id: str) -> str:
    """The actor that whoever writes from a chat account is."""
    return f"chat:{channel_type}:{channel_user_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change: `actor` is GATEWAY, COMMAND, staff(…), user(…) or chat(…).

    `action` is `<noun>.<past participle>`, as `link.made`.
    `user_id` is the user whom it is about, `object` the thing, as `telegram:4711`. `details` is JSON; secrets in it, known
    by their keys and shapes, are not written.
    """

    actor: str
    action: str
    user_id: str = ""
    object: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def record(event: Event) -> None:
    """Write `event` in the transaction of Django's connection, so that it is kept if and only if the change is."""
    record_all([event])


def record_all(events: Iterable[Event]) -> None:
    """The same for many, by one statement."""
    AuditEntry.objects.bulk_create(
        AuditEntry(
            actor=event.actor,
            action=event.action,
            user_id=event.user_id,
            object=event.object,
            details=without_secrets(event.details),
        )
        for event in events
    )


async def record_on(conn: Connection, event: Event) -> None:
    """The same within a caller's transaction on an async connection."""
    await conn.execute(
        "INSERT INTO audit (id, actor, action, user_id, object, details) VALUES (%s, %s, %s, %s, %s, %s)",
        (new_uuid(), event.actor, event.action, event.user_id, event.object, Jsonb(without_secrets(event.details))),
    )
