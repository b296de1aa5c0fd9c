"""The rows of what the agent does by itself: made, listed and deleted by their user."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from accounts.errors import NotIncluded
from accounts.features import require_feature
from accounts.licences import Licence
from agents.errors import Refused
from agents.outbox import SHARED, WEB
from agents.schedules.grammar import Direction, price_words
from agents.schedules.naming import task_words
from agents.schedules.rules import Rule, next_due, rule_of
from agents.workflows import started_by
from gateway.db import Connection, connection
from gateway.ids import is_id, new_id

JSON = dict[str, Any]
Kind = Literal["task", "alert"]

# More than a person keeps in mind; each alert may keep a workspace awake.
MOST_SCHEDULES = 50
# What a user reads of one that met a fault of ours.
BROKEN = "Something went wrong on our side."
NO_SCHEDULE = "There is no such schedule."

COLUMNS = (
    "id::text, user_id, number, kind, channel, reply_to, spec, state, reason, due_at, fence, failures, armed, source, seen,"
    " last_price, created_at, run_at, fired_at, delivered_at"
)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What to do, and when, by the clock of `zone`."""

    rule: Rule
    zone: ZoneInfo
    text: str

    def payload(self) -> JSON:
        """As JSON; see Schedule.task."""
        return {"rule": self.rule.payload(), "zone": str(self.zone), "text": self.text}

    def words(self) -> str:
        """For a list."""
        return task_words(self.rule, self.zone, self.text)


@dataclass(frozen=True, slots=True)
class AlertSpec:
    """Of which price to tell."""

    symbol: str
    direction: Direction
    level: Decimal

    def payload(self) -> JSON:
        """As JSON; see Schedule.alert."""
        return {"symbol": self.symbol, "direction": self.direction, "level": f"{self.level:f}"}

    def words(self) -> str:
        """For a list."""
        return f"{self.symbol} {self.direction} {price_words(self.level)}"


@dataclass(frozen=True, slots=True)
class Where:
    """A channel, and its own address of the user there."""

    channel: str
    reply_to: JSON


@dataclass(frozen=True, slots=True)
class Schedule:
    """One of a user's tasks or alerts, which calls it by its `number`.

    `reason` says why it is paused, or can't be checked. `armed`, `source` (the symbol that has prices), `seen` (the last bar)
    and `last_price` are an alert's. `delivered_at` is the platform's receipt for the last alert.
    """

    id: str
    user_id: str
    number: int
    kind: Kind
    channel: str
    reply_to: JSON
    spec: JSON
    state: str
    reason: str
    due_at: datetime
    fence: int
    failures: int
    armed: bool
    source: str
    seen: str
    last_price: Decimal | None
    created_at: datetime
    run_at: datetime | None
    fired_at: datetime | None
    delivered_at: datetime | None

    @property
    def task(self) -> TaskSpec:
        """Of a task."""
        return TaskSpec(rule_of(self.spec["rule"]), ZoneInfo(self.spec["zone"]), self.spec["text"])

    @property
    def alert(self) -> AlertSpec:
        """Of an alert."""
        return AlertSpec(self.spec["symbol"], self.spec["direction"], Decimal(self.spec["level"]))

    def words(self) -> str:
        """For a list."""
        return self.task.words() if self.kind == "task" else self.alert.words()


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What is known of an alert's price when it is set; nothing, when it can't be read yet."""

    source: str = ""
    seen: str = ""
    price: Decimal | None = None
    armed: bool = True


async def add_task(conn: Connection, licence: Licence, spec: TaskSpec, *, where: Where) -> Schedule:
    """Add a task in the caller's transaction, which holds the licence. Raises Refused `not_included` or `too_many`."""
    started = started_by(spec.text)
    if started is not None and not started[0].opened_by(licence):
        raise Refused("not_included", f"Your licence does not include {started[0].label.lower()}.")
    due = next_due(spec.rule, zone=spec.zone, after=await now_on(conn))
    return await _add(conn, licence, _New("task", spec.payload(), where, due))


async def add_alert(conn: Connection, licence: Licence, spec: AlertSpec, *, where: Where, look: FirstLook) -> Schedule:
    """Add an alert in the caller's transaction, which holds the licence. Raises Refused `not_included` or `too_many`."""
    return await _add(conn, licence, _New("alert", spec.payload(), where, look=look))


async def schedules_of(user_id: str, *, kind: Kind | None = None) -> list[Schedule]:
    """The user's tasks and alerts, by number."""
    async with connection() as conn:
        return await schedules_on(conn, user_id, kind=kind)


async def schedules_on(conn: Connection, user_id: str, *, kind: Kind | None = None) -> list[Schedule]:
    """The same within a caller's transaction."""
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM schedules WHERE user_id = %s AND (%s::text IS NULL OR kind = %s) ORDER BY number",
            (user_id, kind, kind),
        )
        return await cursor.fetchall()


async def delete_schedule(schedule: str, *, user_id: str) -> None:
    """Delete one by its id. Raises Refused `not_found` for another's or a missing one."""
    async with connection() as conn:
        found = is_id(schedule) and await conn.execute(
            "DELETE FROM schedules WHERE id = %s AND user_id = %s RETURNING 1", (schedule, user_id)
        )
        if not found or await found.fetchone() is None:
            raise Refused("not_found", NO_SCHEDULE)


async def delete_number(conn: Connection, user_id: str, *, kind: Kind, number: int) -> Schedule | None:
    """Delete the user's one of that number; None when there is none."""
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            f"DELETE FROM schedules WHERE user_id = %s AND kind = %s AND number = %s RETURNING {COLUMNS}",
            (user_id, kind, number),
        )
        return await cursor.fetchone()


async def redirect(conn: Connection, user_id: str, *, kind: Kind, number: int, where: Where) -> Schedule | None:
    """Have the user's one of that number told elsewhere; None when there is none."""
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            "UPDATE schedules SET channel = %s, reply_to = %s WHERE user_id = %s AND kind = %s AND number = %s"
            f" RETURNING {COLUMNS}",
            (where.channel, Jsonb(where.reply_to), user_id, kind, number),
        )
        return await cursor.fetchone()


async def redirect_schedule(conn: Connection, user_id: str, *, schedule: str, where: Where) -> Schedule | None:
    """The same of one by its id."""
    if not is_id(schedule):
        return None
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            f"UPDATE schedules SET channel = %s, reply_to = %s WHERE user_id = %s AND id = %s RETURNING {COLUMNS}",
            (where.channel, Jsonb(where.reply_to), user_id, schedule),
        )
        return await cursor.fetchone()


async def address_in(conn: Connection, user_id: str, channel: str) -> Where:
    """Where a user is reached in a channel: where they wrote from there last, with nobody reading along.

    Raises Refused `not_found`.
    """
    if channel == WEB:
        return Where(WEB, {})
    cursor = await conn.execute(
        "SELECT reply_to FROM turns WHERE user_id = %s AND channel = %s AND NOT reply_to ? %s"
        " ORDER BY accepted_at DESC LIMIT 1",
        (user_id, channel, SHARED),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refused(
            "not_found", f"I don't know where to reach you in {channel[:64]!r}. Write to me there once first."
        )
    return Where(channel, row[0])


async def now_on(conn: Connection) -> datetime:
    """The database's clock."""
    row = await (await conn.execute("SELECT clock_timestamp()")).fetchone()
    if row is None:
        raise RuntimeError("The clock gave no time.")
    moment: datetime = row[0]
    return moment


async def note_delivered(conn: Connection, turn: str, *, receipt: str) -> None:
    """A platform has shown what the alert of this turn says, in the caller's transaction; `receipt` is its own id of it."""
    await conn.execute(
        "UPDATE schedules SET delivered_at = clock_timestamp(), receipt = %s WHERE fired_turn = %s AND delivered_at IS NULL",
        (receipt, turn),
    )


@dataclass(frozen=True, slots=True)
class _New:
    """A row that is added; `due` None is at once."""

    kind: Kind
    spec: JSON
    where: Where
    due: datetime | None = None
    look: FirstLook = field(default_factory=FirstLook)


async def _add(conn: Connection, licence: Licence, new: _New) -> Schedule:
    try:
        require_feature(licence, "schedules")
    except NotIncluded as error:
        raise Refused(error.code, str(error)) from error
    there = await schedules_on(conn, licence.user_id)
    if len(there) >= MOST_SCHEDULES:
        raise Refused("too_many", f"You have {MOST_SCHEDULES} schedules and alerts. Delete one first.")
    number = max((each.number for each in there), default=0) + 1
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            "INSERT INTO schedules (id, user_id, number, kind, channel, reply_to, spec, due_at, armed, source, seen, last_price)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, COALESCE(%s, clock_timestamp()), %s, %s, %s, %s)"
            f" RETURNING {COLUMNS}",
            (
                new_id(), licence.user_id, number, new.kind, new.where.channel, Jsonb(new.where.reply_to), Jsonb(new.spec),
                new.due, new.look.armed, new.look.source, new.look.seen, new.look.price,
            ),
        )  # fmt: skip
        added = await cursor.fetchone()
    if added is None:
        raise RuntimeError("A row that was inserted did not come back.")
    return added
