"""Start, find again and stop a workspace, once at a time across tasks and processes.

In this process a flight does the work for all who wait; across processes the claim on the row decides. Whoever takes a
claim ends what runs under the one before it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from uuid import UUID

import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured

from provisioning import backends, holding, metrics, rows, timekeeping
from provisioning.backends import Instance, Spec
from provisioning.errors import Cause, WorkspaceFailed, cause_of
from provisioning.flights import Flight, flights
from provisioning.models import State
from provisioning.rows import Claim, ClaimLost, Row
from provisioning.stages import OnStage, known_stage, report_of

# How often a process looks whether another has finished with a workspace: a start takes about a second.
POLL_S = 0.1

log = structlog.get_logger(__name__)
_known: dict[str, Instance] = {}


async def running(spec: Spec, *, fresh: bool, on_stage: OnStage | None) -> Instance:
    """The workspace's running instance, started or adopted if need be; a `fresh` one has answered just now.

    Raises WorkspaceFailed, also for a database that can't be reached and a setting that is wrong.
    """
    known = await held(spec) if not fresh else None
    if known is not None:
        return known
    flight = flights().join(spec.name, fresh=fresh, work=partial(_bring_up, spec, fresh))
    instance = await flight.follow(on_stage)
    _known[spec.name] = instance
    return instance


async def held(spec: Spec) -> Instance | None:
    """The instance that this process knows to run, told that it is wanted; None when it is to be looked for, or started.

    Raises WorkspaceFailed for a setting that is wrong, and when nothing of it can be reached.
    """
    known = _known.get(spec.name)
    with _errors_as_failures():
        if known is None or not backends.backend().alive(known) or not await backends.backend().want(spec, known):
            return None
    return known


@asynccontextmanager
async def ending(name: str, *, seen: Row | None = None) -> AsyncIterator[Claim | None]:
    """Stop a workspace, under a start if need be; inside the block nothing of it runs and nobody else may start it.

    With `seen` it breaks off no work: gives None, having done nothing, when the workspace is being worked on here, when
    there is no row or it is no longer as it was seen. Afterwards the row says stopped;
    after a stop that failed it is anybody's to finish, or to start anew.
    """
    if seen is None:
        await flights().cancel(cause=Cause.STOPPED, name=name)
    elif flights().lock(name).locked():
        yield None
        return
    async with flights().lock(name), holding.holder() as holder:
        await timekeeping.count_rest(name)
        claim = await rows.claim_stop(name, holder=holder, seen=seen)
        if claim is None:
            yield None
            return
        _known.pop(name, None)
        async with _given_up_on_failure(claim):
            await backends.backends()[claim.backend].stop(name)
            yield claim
            with suppress(ClaimLost):
                await rows.settle_stopped(claim)
                log.info("workspace_stopped", workspace=name)


@asynccontextmanager
async def _given_up_on_failure(claim: Claim) -> AsyncIterator[None]:
    """A claim that its holder, who lives on, does not finish would keep everybody else waiting for it."""
    try:
        yield
    except BaseException:
        try:
            with suppress(ClaimLost):
                await rows.let_go(claim)
        except psycopg.Error as error:
            log.warning("workspace_claim_not_given_up", workspace=claim.name, error=type(error).__name__)
        raise


def forget_ended() -> None:
    """Let go of instances that have ended; what the next caller would notice for one, done for all."""
    for name, instance in list(_known.items()):
        if not backends.backend().alive(instance):
            del _known[name]


def forget_all() -> None:
    """Forget every instance; the table knows them."""
    _known.clear()


async def _bring_up(spec: Spec, fresh: bool, flight: Flight) -> Instance:
    with _errors_as_failures():
        return await _find_or_start(spec, fresh=fresh, flight=flight)


async def _find_or_start(spec: Spec, *, fresh: bool, flight: Flight) -> Instance:
    waited_for: int | None = None
    while True:
        row = await rows.find(spec.name)
        if row is not None and row.user_id != spec.user_id:
            raise WorkspaceFailed(Cause.INTERNAL, detail=f"{spec.name} is another user's")
        if row is not None and row.busy_for(holding.process_holder()):
            waited_for = row.generation
            flight.publish(report_of(known_stage(row.stage), detail=row.stage_detail))
            await asyncio.sleep(POLL_S)
            continue
        if row is not None and row.state == State.FAILED and row.generation == waited_for:
            # Who waited for another process's start hears what became of it, as those do who waited there.
            raise WorkspaceFailed(cause_of(row.last_cause), detail=row.last_detail)
        if row is not None and await _usable(row, spec, fresh=fresh):
            return row.instance
        async with holding.holder() as holder:
            claim = await rows.claim_start(spec, backend=backends.backend().name, holder=holder, seen=row)
            if claim is not None:
                former = row.instance if row is not None and row.state == State.READY else Instance()
                return await _start(claim, spec, former=former, flight=flight)


async def _usable(row: Row, spec: Spec, *, fresh: bool) -> bool:
    """Whether the instance of a row runs and can be used; adopted when its owner is dead."""
    backend = backends.backend()
    if row.state != State.READY or row.backend != backend.name or not await backend.want(spec, row.instance):
        return False
    kept = row.held or not backend.owned
    if kept and not fresh:
        return True
    if not await backend.serves(row.user_id, row.instance):
        return False
    own = holding.process_holder()
    if own is not None and not kept:
        await adopt(row, own)
    return True


async def adopt(row: Row, holder: UUID) -> None:
    """Own a workspace whose owner is dead, unless another process was first."""
    if await rows.adopt(row, holder=holder):
        await backends.backend().heartbeat([row.name])
        log.info("workspace_adopted", workspace=row.name)


async def _start(claim: Claim, spec: Spec, *, former: Instance, flight: Flight) -> Instance:
    clock, told = _StageClock(), ("", "")

    async def report(stage: str, *, detail: str = "") -> None:
        nonlocal told
        clock.enter(stage)
        # Not the place in line: it would be a write for each of those who wait whenever one moves on.
        news = (stage, detail if stage != "queued" else "")
        if told != news:
            told = news
            await rows.enter_stage(claim, stage, detail=news[1])
            _heed_cancellation()
        flight.publish(report_of(stage, detail=detail))

    async def record(instance: Instance) -> None:
        await rows.record_instance(claim, instance)
        _heed_cancellation()

    # Stays so only when something is raised that nobody foresaw.
    failure: WorkspaceFailed | None = WorkspaceFailed(Cause.INTERNAL, detail="unexpected error")
    try:
        with _errors_as_failures():
            instance = await backends.backend().start(spec, former=former, report=report, record=record)
            stage_ms = clock.finish()
            await _settle_ready(claim, stage_ms)
        failure = None
    except WorkspaceFailed as error:
        failure = error
        raise
    except asyncio.CancelledError:
        failure = WorkspaceFailed(Cause.STOPPED)
        raise
    except ClaimLost as error:
        failure = WorkspaceFailed(Cause.STOPPED, detail="taken over")
        raise failure from error
    finally:
        if failure is not None:
            await _note_failure(claim, failure)
    _note_success(claim, stage_ms)
    return instance


async def _settle_ready(claim: Claim, stage_ms: dict[str, int]) -> None:
    owned = backends.backend().owned
    owner = holding.process_holder() if owned else None
    await rows.settle_ready(claim, owner=owner, stage_ms=stage_ms)
    if owned and owner is None:
        await rows.offer()


def _heed_cancellation() -> None:
    """Go on with a cancellation that was swallowed: psycopg's pool may, before Python 3.12 (python/cpython#86296)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def _errors_as_failures() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        log.warning("workspace_database_failed", error=type(error).__name__)
        raise WorkspaceFailed(Cause.DATABASE, detail=type(error).__name__) from error
    except ImproperlyConfigured as error:
        raise WorkspaceFailed(Cause.NOT_INSTALLED, detail=str(error)) from error


def _note_success(claim: Claim, stage_ms: dict[str, int]) -> None:
    metrics.STARTS.labels("ready").inc()
    for stage, ms in stage_ms.items():
        metrics.STAGE_SECONDS.labels(stage).observe(ms / 1000)
    log.info("workspace_started", workspace=claim.name, **{f"{stage}_ms": ms for stage, ms in stage_ms.items()})


async def _note_failure(claim: Claim, failure: WorkspaceFailed) -> None:
    metrics.STARTS.labels(failure.cause.value).inc()
    with suppress(ClaimLost):
        if failure.cause == Cause.STOPPED:
            await rows.settle_stopped(claim)
        else:
            await rows.settle_failed(claim, failure)
            log.error(
                "workspace_start_failed",
                workspace=claim.name,
                cause=failure.cause.value,
                detail=failure.detail,
                output=failure.output,
            )


class _StageClock:
    """Measures the stages of one start, in whole milliseconds."""

    def __init__(self) -> None:
        self._stage = ""
        self._entered = 0.0
        self._ms: dict[str, int] = {}

    def enter(self, stage: str) -> bool:
        """The stage before ends here; False when this is the one that it is in already."""
        if stage == self._stage:
            return False
        now = time.monotonic()
        if self._stage:
            # A pod may go back to a stage that it was in before.
            self._ms[self._stage] = self._ms.get(self._stage, 0) + round((now - self._entered) * 1000)
        self._stage, self._entered = stage, now
        return True

    def finish(self) -> dict[str, int]:
        """The time of each stage; the last one ends here."""
        self.enter("")
        return self._ms
