"""Alerts: look at prices in the user's workspace, without a model, and tell of each crossing once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import structlog
from psycopg.rows import class_row

from accounts.errors import NotIncluded
from accounts.features import require_feature
from accounts.licences import Licence, NotLicensed, active_licence
from agents import metrics
from agents.conversations import lock_conversation
from agents.errors import AgentFailed, ToolRefused
from agents.queue import AfterCommit
from agents.schedules.crossings import Bar, armed_at, watch
from agents.schedules.grammar import price_words
from agents.schedules.prices import LIVE, Prices, read_prices
from agents.schedules.rows import BROKEN, COLUMNS, AlertSpec, FirstLook, Schedule, Where
from agents.schedules.telling import Told, pause_words, tell_on
from gateway.db import Connection, connection
from gateway.leases import holder_alive

# Bars of an exchange are five minutes long; those in the workspace change when the user imports some.
LIVE_EVERY = timedelta(minutes=5)
STORED_EVERY = timedelta(hours=1)
# Prices that can't be read are tried again more and more seldom, and the user is told once.
MOST_WAIT = timedelta(hours=6)
TELL_AFTER_FAILURES = 5
PAUSED_EVERY = timedelta(hours=1)
# A look takes two minutes at the most; one that was not ended by then is taken up again.
LOOK_WITHIN = timedelta(minutes=10)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What a look changes of an alert; `text` and `what` are the news, if there are any."""

    wait: timedelta
    state: str = "active"
    reason: str = ""
    failures: int = 0
    armed: bool | None = None
    prices: Prices | None = None
    fired: Bar | None = None
    text: str = ""
    what: str = ""

    @property
    def outcome(self) -> str:
        """For the metrics."""
        if self.fired is not None:
            return "fired"
        return "paused" if self.state == "paused" else "failed" if self.failures else "looked"


async def check_due(holder: UUID, *, now: datetime | None = None) -> bool:
    """Look at an alert that is due; False when none is. `now` is the database's clock, unless a test says.

    The alert is held under the process's lease meanwhile; one whose process has died is looked at by another.
    """
    alert = await _claim(holder, now)
    if alert is None:
        return False
    try:
        change = await look_at(alert)
    except psycopg.OperationalError:
        raise
    except Exception:  # the boundary of an alert: it must hold up no other, nor itself for ever
        log.exception("alert_broke", alert=alert.id)
        change = _broken(alert)
    try:
        await settle(alert, change, now=now)
    except psycopg.OperationalError:
        raise
    except psycopg.Error:  # the database refuses what was found, and would again
        log.exception("alert_broke", alert=alert.id)
        await settle(alert, _broken(alert), now=now)
    return True


async def look_at(alert: Schedule) -> Change:
    """Read the prices since the last look, which starts the workspace if need be."""
    try:
        licence = await active_licence(alert.user_id)
        require_feature(licence, "schedules")
    except (NotLicensed, NotIncluded) as error:
        text = pause_words(str(error), what=f"The alert {alert.words()}") if alert.state == "active" else ""
        return Change(PAUSED_EVERY, "paused", str(error), text=text, what="pause")
    try:
        prices = await read_prices(licence, alert.alert.symbol, source=alert.source, seen=alert.seen)
    except (AgentFailed, ToolRefused) as error:
        return _failed(alert, str(error))
    return judged(alert, prices)


def judged(alert: Schedule, prices: Prices) -> Change:
    """What the prices mean for the alert. The first look tells where the price stands, and is no crossing."""
    spec, wait = alert.alert, LIVE_EVERY if LIVE in prices.source else STORED_EVERY
    if not prices.bars:
        return Change(wait, prices=prices)
    if not alert.seen:
        armed = armed_at(prices.bars[-1].close, direction=spec.direction, level=spec.level)
        return Change(wait, prices=prices, armed=armed)
    seen = watch(prices.bars, direction=spec.direction, level=spec.level, armed=alert.armed)
    if seen.fired is None:
        return Change(wait, prices=prices, armed=seen.armed)
    text = crossing_words(spec, seen.fired, last=prices.bars[-1])
    return Change(wait, prices=prices, armed=seen.armed, fired=seen.fired, text=text, what=seen.fired.at)


async def first_look(licence: Licence, spec: AlertSpec) -> FirstLook:
    """Where the price stands when an alert is set. Raises AgentFailed, and ToolRefused when there are no prices."""
    prices = await read_prices(licence, spec.symbol, source="", seen="")
    if not prices.bars:
        return FirstLook(prices.source)
    last = prices.bars[-1]
    return FirstLook(
        prices.source, last.at, last.close, armed_at(last.close, direction=spec.direction, level=spec.level)
    )


def crossing_words(spec: AlertSpec, fired: Bar, *, last: Bar) -> str:
    """What a user is told."""
    verb = "fell below" if spec.direction == "below" else "rose above"
    extreme = fired.low if spec.direction == "below" else fired.high
    return (
        f"**{spec.symbol} {verb} {price_words(spec.level)}**: it was at {price_words(extreme)} in the bar of {fired.at}"
        f" and closed at {price_words(last.close)} in the newest, of {last.at}."
    )


async def settle(alert: Schedule, change: Change, *, now: datetime | None = None) -> None:
    """Write what a look found, and what is told of it, in one transaction; nothing when another has looked meanwhile."""
    after: list[AfterCommit] = []
    async with connection() as conn, conn.transaction():
        if change.text:
            # The conversation first, then the row: in this order everywhere, or two of them would wait for each other.
            await lock_conversation(conn, user_id=alert.user_id, conversation=None)
        if not await _write(conn, alert, change, now=now):
            return
        metrics.schedules.labels(kind="alert", outcome=change.outcome).inc()
        if change.text:
            await _tell(conn, alert, change, after=after)
    for act in after:
        await act()


async def _claim(holder: UUID, now: datetime | None) -> Schedule | None:
    alive = holder_alive("s")
    async with connection() as conn, conn.cursor(row_factory=class_row(Schedule)) as cursor:
        await cursor.execute(
            "UPDATE schedules SET holder = %(holder)s, fence = fence + 1,"
            " due_at = COALESCE(%(now)s, clock_timestamp()) + %(within)s WHERE id = ("
            " SELECT s.id FROM schedules s WHERE s.kind = 'alert' AND (s.due_at <= COALESCE(%(now)s, clock_timestamp())"
            f" OR (s.holder IS NOT NULL AND NOT {alive})) ORDER BY s.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
            f" RETURNING {COLUMNS}",
            {"holder": holder, "now": now, "within": LOOK_WITHIN},
        )
        return await cursor.fetchone()


async def _write(conn: Connection, alert: Schedule, change: Change, *, now: datetime | None) -> bool:
    prices, last = change.prices, change.prices.bars[-1] if change.prices and change.prices.bars else None
    cursor = await conn.execute(
        "UPDATE schedules SET holder = NULL, due_at = COALESCE(%s, clock_timestamp()) + %s, run_at ="
        " COALESCE(%s, clock_timestamp()), state = %s, reason = %s, failures = %s, armed = %s, source = %s, seen = %s,"
        " last_price = %s WHERE id = %s AND fence = %s",
        (
            now, change.wait, now, change.state, change.reason, change.failures,
            alert.armed if change.armed is None else change.armed, prices.source if prices else alert.source,
            last.at if last else alert.seen, last.close if last else alert.last_price, alert.id, alert.fence,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def _tell(conn: Connection, alert: Schedule, change: Change, *, after: list[AfterCommit]) -> None:
    where = Where(alert.channel, alert.reply_to)
    external_id = f"alert:{alert.id}:{alert.fence}:{change.what}"
    told = await tell_on(conn, Told(alert.user_id, where, external_id, f"/alert {alert.words()}", change.text))
    if told is None:
        return
    turn, show = told
    after.append(show)
    if change.fired is not None:
        await conn.execute(
            "UPDATE schedules SET fired_at = clock_timestamp(), fired_turn = %s, delivered_at = NULL, receipt = ''"
            " WHERE id = %s",
            (turn, alert.id),
        )


def _broken(alert: Schedule) -> Change:
    return Change(MOST_WAIT, reason=BROKEN, failures=alert.failures + 1)


def _failed(alert: Schedule, reason: str) -> Change:
    failures = alert.failures + 1
    wait = min(LIVE_EVERY * 2 ** min(failures, 10), MOST_WAIT)
    text = (
        f"I can't read the price of {alert.alert.symbol}: {reason} I keep trying."
        if failures == TELL_AFTER_FAILURES
        else ""
    )
    log.info("alert_not_checked", alert=alert.id, failures=failures)
    return Change(wait, reason=reason[:500], failures=failures, text=text, what="unreadable")
