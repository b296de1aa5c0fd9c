"""The rows of `workspaces`, by SQL: who may act on a workspace is decided by compare-and-set on them.

Whoever acts has a claim, a row's generation under a lease. A row is busy while it is starting or stopping under a live
lease; any other may be claimed by whoever names the generation that it saw, which makes the next one. Each write names
the claim, and raises ClaimLost once somebody else has claimed the row.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway import db
from gateway.leases import holder_alive
from provisioning.backends import Facts, Instance, Spec
from provisioning.errors import WorkspaceFailed
from provisioning.models import State

WAKEUP = "workspaces"
_HELD = holder_alive("w")
# What a settlement, the statement `done`, adds to the day's count of starts.
_COUNTED: LiteralString = """
    INSERT INTO workspace_days AS d (day, starts, failed_starts, start_ms)
    SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date, %(starts)s, %(failed_starts)s, %(start_ms)s FROM done
    ON CONFLICT (day) DO UPDATE SET starts = d.starts + excluded.starts,
        failed_starts = d.failed_starts + excluded.failed_starts, start_ms = d.start_ms + excluded.start_ms
"""
_COLUMNS = (
    f"w.name, w.user_id, w.backend, w.state, w.stage, w.stage_detail, w.url, w.facts, w.holder, w.generation,"
    f" w.last_cause, w.last_detail, w.since, {_HELD} AS held"
)


class ClaimLost(Exception):
    """Another process, or a stop, has taken this workspace over."""


@dataclass(frozen=True)
class Row:
    """A workspace as the table has it; `held` = its holder's lease is live by the database's clock."""

    name: str
    user_id: str
    backend: str
    state: str
    stage: str
    stage_detail: str
    url: str
    facts: Facts
    holder: UUID | None
    generation: int
    last_cause: str
    last_detail: str
    since: datetime
    held: bool

    @property
    def instance(self) -> Instance:
        """The instance that was last recorded."""
        return Instance(url=self.url, facts=self.facts)

    def busy_for(self, holder: UUID | None) -> bool:
        """Whether another live process is starting or stopping it."""
        return self.state in {State.STARTING, State.STOPPING} and self.held and self.holder != holder


@dataclass(frozen=True)
class Claim:
    """The right to act on one generation of a workspace."""

    name: str
    generation: int
    holder: UUID
    backend: str


async def find(name: str) -> Row | None:
    """The row of a workspace, if there is one."""
    found = await _rows("WHERE w.name = %(name)s", {"name": name})
    return found[0] if found else None


async def running(names: Collection[str], *, backend: str) -> list[Row]:
    """Those of the named workspaces of `backend` that are ready."""
    return await _rows(
        "WHERE w.name = ANY(%(names)s) AND w.state = 'ready' AND w.backend = %(backend)s",
        {"names": list(names), "backend": backend},
    )


async def live_or_named(names: Collection[str]) -> list[Row]:
    """The workspaces that are starting, ready or stopping, and those of these names."""
    return await _rows(
        "WHERE w.state IN ('starting', 'ready', 'stopping') OR w.name = ANY(%(names)s)", {"names": list(names)}
    )


async def listing() -> list[Row]:
    """Every workspace there is a row of, by user."""
    return await _rows("ORDER BY w.user_id", {})


async def kept_or_orphaned(holder: UUID, *, backend: str) -> list[Row]:
    """The live workspaces of `backend` that `holder` holds, and those that no live process holds."""
    return await _rows(
        "WHERE w.state IN ('starting', 'ready', 'stopping') AND w.backend = %(backend)s"
        f" AND (w.holder = %(holder)s OR NOT {_HELD})",
        {"holder": holder, "backend": backend},
    )


async def claim_start(spec: Spec, *, backend: str, holder: UUID, seen: Row | None) -> Claim | None:
    """Claim the start of a workspace that was last seen as `seen` (None = no row); None when it has changed since."""
    sql = """
        INSERT INTO workspaces AS w (name, user_id, backend, state, stage, holder, generation)
        VALUES (%(name)s, %(user_id)s, %(backend)s, 'starting', 'queued', %(holder)s, 1)
        ON CONFLICT (name) DO UPDATE
        SET backend = excluded.backend, state = 'starting', stage = 'queued', stage_detail = '',
            holder = excluded.holder, stage_ms = '{}',
            generation = w.generation + 1, since = clock_timestamp()
        WHERE w.generation = %(seen)s AND w.user_id = excluded.user_id
        RETURNING w.generation"""
    values = {
        "name": spec.name,
        "user_id": spec.user_id,
        "backend": backend,
        "holder": holder,
        "seen": seen.generation if seen else None,
    }
    async with db.connection() as conn:
        claimed = await (await conn.execute(sql, values)).fetchone()
    return Claim(spec.name, claimed[0], holder, backend) if claimed else None


async def claim_stop(name: str, *, holder: UUID, seen: Row | None = None) -> Claim | None:
    """Claim the stop of a workspace, taking it from whoever holds it; with `seen`, only if it has not changed since.

    A start that ends well keeps its generation, and so does a workspace that is handed over: state and holder tell.
    """
    sql = """
        UPDATE workspaces SET state = 'stopping', stage = '', stage_detail = '', holder = %(holder)s,
            generation = generation + 1,
            since = clock_timestamp()
        WHERE name = %(name)s AND (%(generation)s::bigint IS NULL
            OR (generation, state) = (%(generation)s, %(state)s) AND holder IS NOT DISTINCT FROM %(seen_holder)s::uuid)
        RETURNING generation, backend"""
    values = {
        "name": name,
        "holder": holder,
        "generation": seen.generation if seen else None,
        "state": seen.state if seen else None,
        "seen_holder": seen.holder if seen else None,
    }
    async with db.connection() as conn:
        claimed = await (await conn.execute(sql, values)).fetchone()
    return Claim(name, claimed[0], holder, claimed[1]) if claimed else None


async def adopt(row: Row, *, holder: UUID) -> bool:
    """Make `holder` the owner of a running workspace whose owner is dead; False when another was first."""
    return await _changed(
        "UPDATE workspaces w SET holder = %(holder)s, generation = generation + 1"
        f" WHERE name = %(name)s AND generation = %(generation)s AND state = 'ready' AND NOT {_HELD}",
        {"name": row.name, "generation": row.generation, "holder": holder},
    )


async def hand_over(holder: UUID, *, backend: str) -> list[str]:
    """Leave the running workspaces of `holder`, and those whose holder is dead, to whoever adopts them.

    Returns their names.
    """
    async with db.connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "UPDATE workspaces w SET holder = NULL WHERE state = 'ready' AND backend = %(backend)s"
            f" AND (holder = %(holder)s OR NOT {_HELD}) RETURNING name",
            {"holder": holder, "backend": backend},
        )
        names = [name for (name,) in await cursor.fetchall()]
        if names:
            await db.notify(conn, WAKEUP)
    return names


async def unowned(*, backend: str) -> list[Row]:
    """The workspaces of `backend` that are ready and have no owner."""
    return await _rows("WHERE w.state = 'ready' AND w.holder IS NULL AND w.backend = %(backend)s", {"backend": backend})


async def unadopted(names: list[str]) -> list[Row]:
    """Those of the named workspaces that run and have no owner."""
    return await _rows("WHERE w.name = ANY(%(names)s) AND w.state = 'ready' AND w.holder IS NULL", {"names": names})


async def held_by(holder: UUID, *, backend: str) -> list[str]:
    """The names of the workspaces that `holder` starts or owns."""
    sql = "SELECT name FROM workspaces WHERE state IN ('starting', 'ready') AND holder = %s AND backend = %s"
    async with db.connection() as conn:
        return [name for (name,) in await (await conn.execute(sql, (holder, backend))).fetchall()]


async def another_process_lives(holder: UUID | None = None) -> bool:
    """Whether any lease but this one is live."""
    sql = "SELECT EXISTS (SELECT 1 FROM worker_leases WHERE id IS DISTINCT FROM %s AND expires_at > clock_timestamp())"
    async with db.connection() as conn:
        found = await (await conn.execute(sql, (holder,))).fetchone()
    return bool(found and found[0])


async def count_by_state() -> dict[str, int]:
    """How many workspaces are in each state that one of them is in."""
    async with db.connection() as conn:
        cursor = await conn.execute("SELECT state, count(*) FROM workspaces GROUP BY state")
        return dict(await cursor.fetchall())


async def note_running(row: Row, instance: Instance) -> bool:
    """The workspace of a row runs, though the row says otherwise; False when somebody has acted on it since."""
    return await _changed(
        "UPDATE workspaces SET state = 'ready', stage = 'ready', holder = NULL, url = %(url)s, facts = %(facts)s,"
        " generation = generation + 1, since = clock_timestamp()"
        " WHERE name = %(name)s AND generation = %(generation)s AND state = %(state)s",
        {
            "name": row.name,
            "generation": row.generation,
            "state": row.state,
            "url": instance.url,
            "facts": Jsonb(dict(instance.facts)),
        },
    )


async def note_ended(row: Row) -> bool:
    """A running workspace has ended on its own; False when somebody has acted on it since."""
    return await _changed(
        "UPDATE workspaces SET state = 'stopped', stage = '', holder = NULL, since = clock_timestamp()"
        " WHERE name = %(name)s AND generation = %(generation)s AND state = 'ready'",
        {"name": row.name, "generation": row.generation},
    )


async def note_failed(row: Row, failure: WorkspaceFailed) -> bool:
    """A workspace that was running runs no more, and this is why; False when somebody has acted on it since."""
    return await _changed(
        "UPDATE workspaces SET state = 'failed', stage = '', holder = NULL, url = '', facts = '{}', last_cause = %(cause)s,"
        " last_detail = %(detail)s, generation = generation + 1, since = clock_timestamp()"
        " WHERE name = %(name)s AND generation = %(generation)s AND state = 'ready'",
        {"name": row.name, "generation": row.generation, "cause": failure.cause.value, "detail": _text(failure.detail)},
    )


def _text(said: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return said.replace("\x00", "")


async def enter_stage(claim: Claim, stage: str, *, detail: str = "") -> None:
    """The start has entered `stage`; `detail` is what its user is told in place of the stage's own sentence."""
    await _write(claim, "stage = %(stage)s, stage_detail = %(detail)s", {"stage": stage, "detail": detail})


async def record_instance(claim: Claim, instance: Instance) -> None:
    """Something of the instance exists, so that whoever takes over can find it."""
    await _write(claim, "url = %(url)s, facts = %(facts)s", {"url": instance.url, "facts": Jsonb(dict(instance.facts))})


async def settle_ready(claim: Claim, *, owner: UUID | None, stage_ms: Mapping[str, int]) -> None:
    """The start succeeded; with no `owner` nobody keeps the workspace, or whichever process adopts it."""
    await _write(
        claim,
        "state = 'ready', stage = 'ready', stage_detail = '', holder = %(owner)s, stage_ms = %(stage_ms)s, last_cause = '',"
        " last_detail = '', since = clock_timestamp()",
        {"owner": owner, "stage_ms": Jsonb(dict(stage_ms))},
        counted={"starts": 1, "failed_starts": 0, "start_ms": sum(stage_ms.values())},
    )


async def offer() -> None:
    """Wake the processes that could adopt a workspace."""
    async with db.connection() as conn:
        await db.notify(conn, WAKEUP)


async def settle_failed(claim: Claim, failure: WorkspaceFailed) -> None:
    """The start failed. What it has started is ended; what it has only joined may run on."""
    await _write(
        claim,
        "state = 'failed', stage = '', stage_detail = '', holder = NULL, url = '', facts = '{}', last_cause = %(cause)s,"
        " last_detail = %(detail)s, since = clock_timestamp()",
        {"cause": failure.cause.value, "detail": _text(failure.detail)},
        counted={"starts": 0, "failed_starts": 1, "start_ms": 0},
    )


async def settle_stopped(claim: Claim) -> None:
    """Nothing of the workspace runs."""
    await _write(
        claim,
        "state = 'stopped', stage = '', stage_detail = '', holder = NULL, url = '', facts = '{}', since = clock_timestamp()",
        {},
    )


async def let_go(claim: Claim) -> None:
    """The stop was broken off: what of the workspace runs is not known, and anybody may claim it."""
    await _write(claim, "holder = NULL", {})


async def forget(claim: Claim) -> None:
    """Remove the row of a workspace that was claimed for its stop."""
    await _changed(
        "DELETE FROM workspaces WHERE name = %(name)s AND generation = %(generation)s",
        {"name": claim.name, "generation": claim.generation},
    )


async def _rows(condition: LiteralString, values: Mapping[str, object]) -> list[Row]:
    async with db.connection() as conn, conn.cursor(row_factory=class_row(Row)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM workspaces w {condition}", values)
        return await cursor.fetchall()


async def _write(
    claim: Claim, changes: LiteralString, values: Mapping[str, object], *, counted: Mapping[str, int] | None = None
) -> None:
    fence = {"claim_name": claim.name, "claim_generation": claim.generation, "claim_holder": claim.holder}
    sql = (
        f"UPDATE workspaces SET {changes}"
        " WHERE name = %(claim_name)s AND generation = %(claim_generation)s AND holder = %(claim_holder)s"
    )
    if counted is not None:
        sql = f"WITH done AS ({sql} RETURNING 1) {_COUNTED}"
    if not await _changed(sql, {**values, **fence, **(counted or {})}):
        raise ClaimLost


async def _changed(sql: LiteralString, values: Mapping[str, object]) -> bool:
    async with db.connection() as conn:
        return (await conn.execute(sql, values)).rowcount > 0
