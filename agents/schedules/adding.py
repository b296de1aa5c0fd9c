"""Add a task or an alert from a program, or have it told elsewhere: what /schedule and /alert do, without their words."""

from dataclasses import dataclass

from agents.admission import admit
from agents.errors import Refused
from agents.schedules.commands import Look, look_for, zone_of_user
from agents.schedules.grammar import MOST_TEXT
from agents.schedules.rows import (
    NO_SCHEDULE,
    AlertSpec,
    Schedule,
    TaskSpec,
    add_alert,
    add_task,
    address_in,
    redirect_schedule,
)
from agents.schedules.rules import Rule, zone_of
from gateway.db import connection


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants it, and the channel that it is told in."""

    user_id: str
    channel: str


async def create_task(asked: Asked, rule: Rule, text: str, *, time_zone: str | None) -> Schedule:
    """A new task; without a `time_zone` in that of the user's preferences, or UTC.

    Raises Refused `invalid`, `not_found` (the channel knows no place to reach the user), `not_included`, `too_many`, `no_licence`
    or `licence_expired`.
    """
    if not text.strip() or len(text) > MOST_TEXT or "\0" in text:
        raise Refused("invalid", f"A task has 1 to {MOST_TEXT:,} characters.")
    zone = zone_of(time_zone) if time_zone else await zone_of_user(asked.user_id) or zone_of("UTC")
    if zone is None:
        raise Refused("invalid", "There is no such time zone. Give an IANA name, such as Europe/Berlin.")
    async with connection() as conn, conn.transaction():
        licence = await admit(conn, asked.user_id, channel=asked.channel)
        where = await address_in(conn, asked.user_id, asked.channel)
        return await add_task(conn, licence, TaskSpec(rule, zone, text.strip()), where=where)


async def create_alert(asked: Asked, spec: AlertSpec) -> Schedule:
    """A new alert; its price is looked at first, and later if it can't be read now. Raises what `create_task` raises."""
    look: Look = await look_for(asked.user_id, spec)
    async with connection() as conn, conn.transaction():
        licence = await admit(conn, asked.user_id, channel=asked.channel)
        where = await address_in(conn, asked.user_id, asked.channel)
        return await add_alert(conn, licence, spec, where=where, look=look.found)


async def tell_elsewhere(asked: Asked, schedule: str) -> Schedule:
    """Have a task or an alert told in another channel from now on.

    Raises Refused `not_found` (it, or a place to reach the user there), `not_included` (the channel), `no_licence` or
    `licence_expired`.
    """
    async with connection() as conn, conn.transaction():
        await admit(conn, asked.user_id, channel=asked.channel)
        where = await address_in(conn, asked.user_id, asked.channel)
        moved = await redirect_schedule(conn, asked.user_id, schedule=schedule, where=where)
    if moved is None:
        raise Refused("not_found", NO_SCHEDULE)
    return moved
