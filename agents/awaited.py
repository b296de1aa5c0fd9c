"""What a turn waits for, as its user sees and settles it: one thing, of two kinds (approvals.py, questions.py).

It is settled by one UPDATE that compares state, expiry and owner by the database's clock: of any number at once, one wins,
and each other is told what was decided before. No text of a model or a tool ever comes here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, LiteralString, TypeVar

from psycopg.rows import class_row, dict_row

from accounts import audit
from agents.admission import admit
from agents.errors import Refused
from agents.queue import AfterCommit
from agents.wait_events import Row, events_of, show
from agents.waiting import WaitKind
from agents.waits import TABLES, lock_turn, one, record, settled_before, too_late, wake
from gateway.db import Connection, connection
from gateway.ids import is_id

View = TypeVar("View", bound="AwaitedView")


@dataclass(frozen=True, slots=True)
class AwaitedView:
    """Something that is waited for, as its owner sees it; its words are empty once the turn's texts are erased."""

    id: str
    turn: str
    conversation: str
    state: str
    by_channel: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is made of a row: its state, the column that keeps what the user gave, and the digest that it must have still."""

    state: str
    column: LiteralString
    value: Any
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a user says to something that waits, and where."""

    user_id: str
    channel: str

    @property
    def wait(self) -> str:
        """The id of what waits."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise Refused `invalid` for what no row could take."""

    def ruling(self, found: Row) -> Ruling:
        """What is made of the row, which is pending. Raises Refused."""
        raise NotImplementedError


class Kind(Generic[View]):
    """One of the two kinds. `columns` are those of its view that the other has not."""

    def __init__(self, name: WaitKind, view: type[View], *, columns: LiteralString) -> None:
        self._name, self._view, self._columns = name, view, columns

    async def settle(self, given: Given) -> View:
        """Settle it, and let its turn go on.

        Raises Refused: `not_found` for a missing one or another's, `already_decided` with words that say what and where,
        `expired`, `invalid` or `changed` for what it can't be settled with, `no_licence`, `licence_expired` or `not_included`
        (the channel); then nothing is changed.
        """
        async with connection() as conn, conn.transaction():
            await admit(conn, given.user_id, channel=given.channel)
            after = await self.settle_on(conn, given)
        await after()
        return await self.get(given.user_id, given.wait)

    async def settle_on(self, conn: Connection, given: Given) -> AfterCommit:
        """The same within a caller's transaction, which has admitted the user; what is returned is done after its commit."""
        if not is_id(given.wait):
            raise self._missing()
        given.check()
        row = await self._settled(conn, given)
        woken = await wake(conn, row)
        await record(conn, row, actor=audit.user(given.user_id))

        async def tell() -> None:
            await show(woken, events_of(row))

        return tell

    async def page(
        self, user_id: str, *, pending: bool = False, limit: int = 100, before: str | None = None
    ) -> list[View]:
        """The user's, the newest first; `before` = the id of the last one of the page before."""
        return await self._views(
            "w.user_id = %(user)s AND (NOT %(pending)s OR (w.state = 'pending' AND w.expires_at > clock_timestamp()))"
            " AND (%(before)s::uuid IS NULL OR w.id < %(before)s) ORDER BY w.id DESC LIMIT %(limit)s",
            {"user": user_id, "pending": pending, "before": before, "limit": limit},
        )

    async def get(self, user_id: str, wait: str) -> View:
        """One of the user's; Refused `not_found` for another's or a missing one."""
        if not is_id(wait):
            raise self._missing()
        found = await self._views("w.id = %(id)s AND w.user_id = %(user)s", {"id": wait, "user": user_id})
        if not found:
            raise self._missing()
        return found[0]

    async def _settled(self, conn: Connection, given: Given) -> Row:
        await lock_turn(conn, self._name, given.wait)
        found = await one(
            conn,
            "SELECT *, expires_at <= clock_timestamp() AS late"
            f" FROM {TABLES[self._name]} WHERE id = %s AND user_id = %s",
            (given.wait, given.user_id),
        )
        if found is None:
            raise self._missing()
        if (before := settled_before(found)) is not None:
            raise before
        row = await self._update(conn, given, given.ruling(found))
        if row is None:
            # The turn is locked, so its state is as it was found.
            raise too_late()
        return row | {"kind": self._name}

    async def _update(self, conn: Connection, given: Given, ruling: Ruling) -> Row | None:
        pinned: LiteralString = "" if ruling.digest is None else " AND digest = %(digest)s"
        async with conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                f"UPDATE {TABLES[self._name]} SET state = %(state)s, {ruling.column} = %(value)s, by_channel = %(channel)s,"
                " decided_at = clock_timestamp() WHERE id = %(id)s AND user_id = %(user)s AND state = 'pending'"
                f" AND expires_at > clock_timestamp(){pinned} RETURNING *",
                {
                    "state": ruling.state, "value": ruling.value, "digest": ruling.digest, "channel": given.channel,
                    "id": given.wait, "user": given.user_id,
                },
            )  # fmt: skip
            return await cursor.fetchone()

    async def _views(self, condition: LiteralString, values: dict[str, Any]) -> list[View]:
        async with connection() as conn, conn.cursor(row_factory=class_row(self._view)) as cursor:
            await cursor.execute(
                "SELECT w.id::text, w.turn_id::text AS turn, t.conversation_id::text AS conversation, w.state, w.by_channel,"
                f" w.created_at, w.expires_at, w.decided_at, {self._columns} FROM {TABLES[self._name]} w"
                f" JOIN turns t ON t.id = w.turn_id WHERE {condition}",
                values,
            )
            return await cursor.fetchall()

    def _missing(self) -> Refused:
        return Refused("not_found", f"There is no such {self._name}.")
