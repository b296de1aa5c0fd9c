"""Paper deployments in the user's file: what was asked, the account, its orders and steps."""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from mcp_server.deployments.ledger import Account, Costs, Fill
from mcp_server.errors import DeploymentConflict, TooManyDeployments, UnknownDeployment
from mcp_server.market.times import BY_NAME
from mcp_server.storage.database import Database, timestamp

State = Literal["running", "stopped", "failed"]

# Each is a run of its strategy at every new bar of its symbol.
MOST_RUNNING = 20
# Of those that ended, the oldest are erased; a key of so long ago is repeated by nobody.
MOST_ENDED = 500
# The same error again is no news: a strategy that fails this often in a row is not tried any more.
MOST_TRIES = 3

ERROR_CHARACTERS = 1000

# The largest source, twice for the log.
DEPLOYMENT_BYTES = 128 * 1024

_COLUMNS = "id, idempotency_key, request, terms, source, state, since, ended_at, last_bar, account, tries, last_error"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is run: a strategy's version, pinned by its digest, over `symbols` with all its parameters."""

    strategy: str
    version: int
    digest: str
    symbols: tuple[str, ...]
    interval: str
    params: Mapping[str, Any]
    fee_bps: float
    slippage_bps: float
    keep_running: bool

    @property
    def costs(self) -> Costs:
        return Costs(self.fee_bps, self.slippage_bps)


_TERMS = TypeAdapter(Terms)
_ACCOUNT = TypeAdapter(Account)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it stands. `last_bar` is the bar that it was stepped on last, in ns since 1970 UTC.

    `tries` counts the failures since the last step that went well.
    """

    id: str
    key: str
    request: str
    terms: Terms
    source: str
    state: State
    since: str
    ended_at: str | None
    last_bar: int
    account: Account
    tries: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A paper order: bring `symbol` to the share `target`. Figures are None until it is filled."""

    symbol: str
    decided_bar: int
    target: float
    state: Literal["open", "filled", "cancelled"]
    filled_bar: int | None
    units: float | None
    price: float | None
    fee: float | None


@dataclass(frozen=True, slots=True)
class Live:
    """How many deployments run, and for how many of them the user wants the workspace kept awake."""

    running: int
    kept: int


class Deployments:
    """The deployments of the user's file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live = Live(0, 0)
        self._recount()
        database.on_replaced(self._recount)

    def with_key(self, key: str, *, request: str) -> Deployment | None:
        """The deployment that was made with this key. Raises DeploymentConflict when another one was asked for."""
        with self._database.reading() as connection:
            return _with_key(connection, key, request)

    def expect_room(self) -> None:
        """Raise StorageFull before the run for a deployment that there would be no room for."""
        self._database.expect_room(DEPLOYMENT_BYTES)

    def add(self, terms: Terms, *, source: str, key: str, request: str, start: tuple[int, Account]) -> Deployment:
        """Keep a new deployment, begun at the bar and with the account of `start`, unless its key has one already.

        Raises DeploymentConflict, TooManyDeployments.
        """
        bar, account = start
        with self._database.writing() as connection:
            known = _with_key(connection, key, request)
            if known is not None:
                return known
            _make_room(connection)
            name, now = f"dep-{secrets.token_hex(6)}", timestamp()
            connection.execute(
                "INSERT INTO deployments (id, idempotency_key, request, terms, source, kept, state, since, last_bar,"
                " account, tries) VALUES (?, ?, ?, ?, ?, ?, 'running', ?, ?, ?, 0)",
                (name, key, request, _plain(terms), source, terms.keep_running, now, bar, _plain(account)),
            )
            _note_step(connection, name, bar=bar, account=account)
            self._count(connection)
        return self.get(name)

    def get(self, name: str) -> Deployment:
        """Raises UnknownDeployment."""
        with self._database.reading() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM deployments WHERE id = ?", (name,)).fetchone()
        if row is None:
            raise UnknownDeployment
        return _deployment(row)

    def running(self) -> list[Deployment]:
        """Those that are stepped, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM deployments WHERE state = 'running' ORDER BY position"
            ).fetchall()
        return [_deployment(row) for row in rows]

    def newest(self, limit: int) -> list[Deployment]:
        """The running ones, then those that ended, each the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM deployments ORDER BY state <> 'running', position DESC LIMIT ?", (limit,)
            ).fetchall()
        return [_deployment(row) for row in rows]

    def count(self) -> int:
        with self._database.reading() as connection:
            total: int = connection.execute("SELECT count(*) FROM deployments").fetchone()[0]
        return total

    def live(self) -> Live:
        """What a lifecycle sidecar wants to know, from memory: it is asked on the event loop, where no disk is waited for."""
        return self._live

    def _recount(self) -> None:
        with self._database.reading() as connection:
            self._count(connection)

    def _count(self, connection: sqlite3.Connection) -> None:
        self._live = Live(
            *connection.execute(
                "SELECT count(*), coalesce(sum(kept), 0) FROM deployments WHERE state = 'running'"
            ).fetchone()
        )

    def steps(self, name: str) -> list[tuple[int, float]]:
        """Every bar that it was stepped on with the equity at its close, the first is the bar that it began at."""
        with self._database.reading() as connection:
            return connection.execute(
                "SELECT bar, equity FROM deployment_steps WHERE deployment = ? ORDER BY bar", (name,)
            ).fetchall()

    def orders(self, name: str, *, limit: int) -> list[Order]:
        """Its newest orders, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT symbol, decided_bar, target, state, filled_bar, units, price, fee FROM paper_orders"
                " WHERE deployment = ? ORDER BY position DESC LIMIT ?",
                (name, limit),
            ).fetchall()
        return [Order(*row) for row in rows]

    def record(self, before: Deployment, *, bar: int, account: Account, fills: Sequence[Fill]) -> bool:
        """Keep one step, whole and once: False, and nothing changed, when `before` is not how the deployment stands."""
        with self._database.writing() as connection:
            moved = connection.execute(
                "UPDATE deployments SET last_bar = ?, account = ?, tries = 0, last_error = NULL"
                " WHERE id = ? AND state = 'running' AND last_bar = ?",
                (bar, _plain(account), before.id, before.last_bar),
            ).rowcount
            if not moved:
                return False
            for fill in fills:
                connection.execute(
                    "UPDATE paper_orders SET state = 'filled', filled_bar = ?, units = ?, price = ?, fee = ?"
                    " WHERE deployment = ? AND symbol = ? AND state = 'open'",
                    (bar, fill.units, fill.price, fill.fee, before.id, fill.symbol),
                )
            _note_step(connection, before.id, bar=bar, account=account)
        return True

    def note_error(self, name: str, error: str, *, counts: bool) -> None:
        """Keep why a step failed; after the last try that `counts` the deployment has failed and its orders are off."""
        with self._database.writing() as connection:
            # One that lasts is found at every look, and written once.
            connection.execute(
                "UPDATE deployments SET last_error = ?1, tries = tries + ?2"
                " WHERE id = ?3 AND state = 'running' AND (?2 OR last_error IS NOT ?1)",
                (error[:ERROR_CHARACTERS], counts, name),
            )
            (failed,) = connection.execute(
                "SELECT count(*) FROM deployments WHERE id = ? AND tries >= ?", (name, MOST_TRIES)
            ).fetchone()
            if failed:
                _end(connection, name, "failed")
                self._count(connection)

    def note_well(self, deployment: Deployment) -> None:
        """There is nothing to be stepped, and nothing stands in the way any more."""
        if deployment.last_error is not None and not deployment.tries:
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE deployments SET last_error = NULL WHERE id = ? AND state = 'running'", (deployment.id,)
                )

    def fail(self, name: str, error: str) -> None:
        """End a deployment that can't go on."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE deployments SET last_error = ? WHERE id = ? AND state = 'running'", (error, name)
            )
            _end(connection, name, "failed")
            self._count(connection)

    def stop(self, name: str) -> Deployment:
        """End a deployment; one that has ended stays as it is. Raises UnknownDeployment."""
        with self._database.erasing() as connection:
            _end(connection, name, "stopped")
            self._count(connection)
        return self.get(name)


def check_row(row: Mapping[str, Any]) -> None:
    """Raises ValueError for a row of the table `deployments` that can't be stepped: it may come out of an archive."""
    deployment = _deployment([row[name] for name in _COLUMNS.split(", ")])
    terms, account = deployment.terms, deployment.account
    for amounts in (account.units, account.held, account.decided, account.closes):
        if set(amounts) != set(terms.symbols) or not all(map(math.isfinite, amounts.values())):
            raise ValueError("the account of a deployment does not fit its symbols")
    if not terms.symbols or terms.interval not in BY_NAME:
        raise ValueError("a deployment has no symbol or an unknown interval")


def _with_key(connection: sqlite3.Connection, key: str, request: str) -> Deployment | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM deployments WHERE idempotency_key = ?", (key,)).fetchone()
    if row is None:
        return None
    found = _deployment(row)
    if found.request != request:
        raise DeploymentConflict(
            f"The idempotency key has deployed something else: {found.request} (deployment {found.id}). Repeat exactly "
            "that, or take a new key for a new deployment."
        )
    return found


def _make_room(connection: sqlite3.Connection) -> None:
    (running,) = connection.execute("SELECT count(*) FROM deployments WHERE state = 'running'").fetchone()
    if running >= MOST_RUNNING:
        raise TooManyDeployments(f"{MOST_RUNNING} deployments are running, the most there can be. Stop one first.")
    connection.execute(
        "DELETE FROM deployments WHERE position IN (SELECT position FROM deployments WHERE state <> 'running'"
        " ORDER BY position DESC LIMIT -1 OFFSET ?)",
        (MOST_ENDED,),
    )


def _note_step(connection: sqlite3.Connection, name: str, *, bar: int, account: Account) -> None:
    connection.execute("INSERT INTO deployment_steps VALUES (?, ?, ?)", (name, bar, account.equity))
    # What was open and moved no units is done too.
    connection.execute(
        "UPDATE paper_orders SET state = 'filled', filled_bar = ?, units = 0, fee = 0"
        " WHERE deployment = ? AND state = 'open'",
        (bar, name),
    )
    if account.has_orders:
        connection.executemany(
            "INSERT INTO paper_orders (deployment, symbol, decided_bar, target, state) VALUES (?, ?, ?, ?, 'open')",
            [(name, symbol, bar, target) for symbol, target in account.decided.items()],
        )


def _end(connection: sqlite3.Connection, name: str, state: State) -> None:
    ended = connection.execute(
        "UPDATE deployments SET state = ?, ended_at = ? WHERE id = ? AND state = 'running'", (state, timestamp(), name)
    ).rowcount
    if ended:
        connection.execute(
            "UPDATE paper_orders SET state = 'cancelled' WHERE deployment = ? AND state = 'open'", (name,)
        )


def _plain(value: Terms | Account) -> str:
    return json.dumps(asdict(value), allow_nan=False, separators=(",", ":"))


def _deployment(row: Sequence[Any]) -> Deployment:
    name, key, request, terms, source, state, since, ended_at, last_bar, account, tries, last_error = row
    return Deployment(
        id=name,
        key=key,
        request=request,
        terms=_TERMS.validate_json(terms),
        source=source,
        state=state,
        since=since,
        ended_at=ended_at,
        last_bar=last_bar,
        account=_ACCOUNT.validate_json(account),
        tries=tries,
        last_error=last_error,
    )
