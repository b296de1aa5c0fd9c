"""Tasks that are due become turns, like messages that their user had written."""

from datetime import datetime, timedelta

import psycopg
import structlog
from psycopg.rows import class_row
from redis.exceptions import RedisError

from accounts.errors import NotIncluded
from accounts.features import require_feature
from accounts.licences import NotLicensed, lock_licence_on
from agents import metrics
from agents.errors import Refused
from agents.queue import AfterCommit
from agents.schedules.rows import BROKEN, COLUMNS, Schedule, Where
from agents.schedules.rules import next_due
from agents.schedules.telling import Told, pause_words, tell_on
from agents.turns import IncomingMessage, accept_on
from agents.workflow_runs import WorkflowRun
from agents.workflows import started_by
from gateway.db import Connection, connection

# A fault of ours may be gone with the next version.
BROKEN_EVERY = timedelta(hours=1)
# With these it is not this run that can't be, but any.
LASTING = frozenset({"no_licence", "licence_expired", "not_included"})

log = structlog.get_logger(__name__)


async def run_due(*, now: datetime | None = None) -> bool:
    """Accept the turn of a task that is due; False when none is. `now` is the database's clock, unless a test says.

    The turn and the next time are one transaction, and the turn's external id is the task and its time: however many workers
    look, it is done once. Of times that were missed the last is made up for.
    """
    candidate = await _candidate(now)
    if candidate is None:
        return False
    schedule_id, user_id = candidate
    try:
        await _do(schedule_id, user_id, now=now)
    except (psycopg.OperationalError, RedisError, OSError):
        # A server is away, which is no task's fault. What the database refuses of a task is: that is met again each time.
        raise
    except Exception:  # the boundary of a task: it must hold up no other
        log.exception("task_broke", task=schedule_id)
        metrics.schedules.labels(kind="task", outcome="broke").inc()
        await _put_off(schedule_id, now)
    return True


async def _do(schedule_id: str, user_id: str, *, now: datetime | None) -> None:
    after: list[AfterCommit] = []
    async with connection() as conn, conn.transaction():
        # The licence first, then the rest: in this order everywhere, or two of them would wait for each other.
        refusal = await _lock_licence(conn, user_id)
        found = await _lock_due(conn, schedule_id, now)
        if found is None:
            return
        schedule, moment = found
        reason = refusal or await _accept(conn, schedule, after)
        if reason and schedule.state == "active":
            await _tell_pause(conn, schedule, reason, after=after)
        metrics.schedules.labels(kind="task", outcome="paused" if reason else "done").inc()
        due = next_due(schedule.task.rule, zone=schedule.task.zone, after=moment)
        await conn.execute(
            "UPDATE schedules SET due_at = %s, run_at = %s, state = %s, reason = %s WHERE id = %s",
            (due, moment, "paused" if reason else "active", reason, schedule.id),
        )
    for act in after:
        await act()


async def _put_off(schedule: str, now: datetime | None) -> None:
    async with connection() as conn:
        await conn.execute(
            "UPDATE schedules SET due_at = COALESCE(%s, clock_timestamp()) + %s, reason = %s WHERE id = %s",
            (now, BROKEN_EVERY, BROKEN, schedule),
        )


async def _candidate(now: datetime | None) -> tuple[str, str] | None:
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text, user_id FROM schedules WHERE kind = 'task' AND due_at <= COALESCE(%s, clock_timestamp())"
            " ORDER BY due_at LIMIT 1",
            (now,),
        )
        return await cursor.fetchone()


async def _lock_licence(conn: Connection, user_id: str) -> str:
    """Hold the user's licence; why it allows no schedules, "" when it does."""
    try:
        require_feature(await lock_licence_on(conn, user_id), "schedules")
    except (NotLicensed, NotIncluded) as error:
        return str(error)
    return ""


async def _lock_due(conn: Connection, schedule: str, now: datetime | None) -> tuple[Schedule, datetime] | None:
    async with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM schedules WHERE id = %s AND due_at <= COALESCE(%s, clock_timestamp()) FOR UPDATE",
            (schedule, now),
        )
        found = await cursor.fetchone()
    moment = await (await conn.execute("SELECT COALESCE(%s, clock_timestamp())", (now,))).fetchone()
    return None if found is None or moment is None else (found, moment[0])


async def _accept(conn: Connection, schedule: Schedule, after: list[AfterCommit]) -> str:
    """Accept the turn; why it and all later ones can't be, "" otherwise. A limit that resets is told by a turn of its own."""
    try:
        async with conn.transaction():
            accepted, begin = await accept_on(conn, _message(schedule))
    except Refused as refusal:
        if refusal.code in LASTING:
            return refusal.message
        text = f"The task could not be done this time: {refusal.message}"
        told = await tell_on(conn, _told(schedule, f"skip:{schedule.due_at.isoformat()}", text))
        after.extend([told[1]] if told else [])
        return ""
    if not accepted.duplicate:
        after.append(begin)
    return ""


async def _tell_pause(conn: Connection, schedule: Schedule, reason: str, *, after: list[AfterCommit]) -> None:
    told = await tell_on(
        conn, _told(schedule, f"pause:{schedule.due_at.isoformat()}", pause_words(reason, what="This task"))
    )
    after.extend([told[1]] if told else [])


def _message(schedule: Schedule) -> IncomingMessage:
    task = schedule.task
    started = started_by(task.text)
    return IncomingMessage(
        user_id=schedule.user_id,
        channel=schedule.channel,
        external_id=f"schedule:{schedule.id}:{schedule.due_at.isoformat()}",
        content=f"[Scheduled {task.rule.words()}] {task.text}",
        when_busy="queue",
        reply_to=schedule.reply_to,
        workflow=WorkflowRun(started[0].name, started[1]) if started else None,
    )


def _told(schedule: Schedule, what: str, text: str) -> Told:
    where = Where(schedule.channel, schedule.reply_to)
    return Told(schedule.user_id, where, f"schedule:{schedule.id}:{what}", f"/schedule {schedule.words()}", text)
