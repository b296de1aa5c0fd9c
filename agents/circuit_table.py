"""Circuits shared by all processes: one row for each target that failed lately.

Read at most every two seconds by each process, written when something fails and when what failed answers again.
"""

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
import structlog

from agents.catalogue import Model
from agents.circuits import BILLING_S, COOL_DOWNS_S, FORGET_S, Circuit, Trouble, open_at, target_of, targets
from gateway.db import connection

# Seconds that what was read is good for.
FRESH_S = 2.0

log = structlog.get_logger(__name__)

# The rule of agents.circuits.opened, by the database's clock and under the row's lock.
_FAILED = """
    INSERT INTO model_circuits AS c (target, failures, open_until)
    VALUES (%(target)s, 1, clock_timestamp() + greatest(%(cool_downs)s[1], %(asked)s) * interval '1 second')
    ON CONFLICT (target) DO UPDATE SET (failures, open_until) = (
        SELECT n, CASE WHEN c.open_until > clock_timestamp()
            THEN greatest(c.open_until, clock_timestamp() + %(asked)s * interval '1 second')
            ELSE clock_timestamp() + greatest(%(cool_downs)s[n], %(asked)s) * interval '1 second' END
        FROM (SELECT CASE WHEN c.open_until > clock_timestamp() THEN c.failures
            WHEN c.open_until > clock_timestamp() - %(forget)s * interval '1 second'
            THEN least(c.failures + 1, cardinality(%(cool_downs)s)) ELSE 1 END AS n) AS counted)
"""


class SharedCircuits:
    """See agents.circuits.Circuits. With the database away nothing is known, and nothing is kept: the turn goes on."""

    def __init__(self) -> None:
        self._known: dict[str, Circuit] = {}
        self._read_at = -FRESH_S
        self._reading = asyncio.Lock()

    async def open_targets(self) -> frozenset[str]:
        """See Circuits."""
        async with self._reading:
            if time.monotonic() - self._read_at >= FRESH_S:
                await self._read()
        return open_at(self._known, time.monotonic())

    async def failed(self, model: Model, trouble: Trouble) -> None:
        """See Circuits."""
        target = target_of(model, trouble)
        if target is None:
            return
        asked = BILLING_S if trouble.billing else trouble.wait_s or 0.0
        log.warning("circuit_opened", target=target, billing=trouble.billing)
        await self._write(
            _FAILED, {"target": target, "asked": asked, "cool_downs": list(COOL_DOWNS_S), "forget": FORGET_S}
        )

    async def answered(self, model: Model) -> None:
        """See Circuits. What is not known to have failed is not looked up."""
        if self._known.keys().isdisjoint(targets(model)):
            return
        log.info("circuit_closed", model=model.spec)
        await self._write(
            "DELETE FROM model_circuits WHERE target = ANY(%(targets)s)", {"targets": list(targets(model))}
        )

    async def _write(self, statement: Any, values: dict[str, Any]) -> None:
        try:
            async with connection() as conn:
                await conn.execute(statement, values)
        except psycopg.OperationalError as error:
            log.warning("circuits_unreachable", error=type(error).__name__)
        self._read_at = -FRESH_S

    async def _read(self) -> None:
        try:
            async with connection() as conn:
                cursor = await conn.execute(
                    "SELECT target, failures, extract(epoch FROM open_until - clock_timestamp())::float8 FROM model_circuits"
                )
                rows = await cursor.fetchall()
        except psycopg.OperationalError as error:
            log.warning("circuits_unreachable", error=type(error).__name__)
            return
        now = self._read_at = time.monotonic()
        self._known = {target: Circuit(failures, now + left_s) for target, failures, left_s in rows}


_shared: "WeakKeyDictionary[asyncio.AbstractEventLoop, SharedCircuits]" = WeakKeyDictionary()


def shared_circuits() -> SharedCircuits:
    """The running loop's view of what all processes share."""
    return _shared.setdefault(asyncio.get_running_loop(), SharedCircuits())
