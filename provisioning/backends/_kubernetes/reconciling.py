"""Bring the table and the cluster in line. What is compared is known already: only what is mended costs calls.

Each step is bound to what was seen: a row's generation, an object's uid and version. Whoever was there first wins.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured

from accounts.licences import NotLicensed, active_licence
from accounts.standing import LicenceTerm, licence_terms
from provisioning import holding, launching, metrics, rows
from provisioning.backends import Finding, Instance
from provisioning.backends._kubernetes.causes import failure_of_cause, failure_of_trouble
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.drift import Action, Drift, Standing, drifts, moment
from provisioning.backends._kubernetes.emptying import give_back, require_none_at_work, require_none_ready
from provisioning.backends._kubernetes.errors import ApiFailed, Conflict, Missing
from provisioning.backends._kubernetes.idling import CHANGE_IDLE_S, is_outdated, shorten
from provisioning.backends._kubernetes.judging import judge, occupied
from provisioning.backends._kubernetes.keys import publish_missed_keys
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS
from provisioning.backends._kubernetes.manifests import ENDED, ORPHANED
from provisioning.backends._kubernetes.mending import mend
from provisioning.backends._kubernetes.outages import Outage, outage_of
from provisioning.backends._kubernetes.removing import remove_seen
from provisioning.backends._kubernetes.starting import TOO_LATE, endpoint, facts_of
from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.values import values
from provisioning.errors import WorkspaceFailed
from provisioning.flights import flights
from provisioning.idle_times import idle_by, shorter
from provisioning.models import State
from provisioning.rows import Row
from provisioning.settling import note_ended
from provisioning.specs import spec_of

# Most steps are one call; one that waits for a pod of a dead node takes as long as a stop may.
AT_ONCE = 8
# Fewer may well be what was left of users who were deleted.
MANY_ORPHANS = 3
# Of which nothing is done.
TOLD = {Action.REPORT, Action.AWAIT}
# Of one pass. A keeper begins one about every minute.
BUDGET_S = 120.0
# Workspaces that are looked at before the event loop has its turn: some milliseconds' work.
A_TURN = 50

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Case:
    """One workspace as it was seen."""

    cluster: Cluster
    name: str
    row: Row | None
    sight: Sight
    standing: Standing
    down_since: datetime | None = None

    async def scale(self, replicas: int, annotations: Mapping[str, str | None] | None = None) -> None:
        """Scale the Deployment if nobody has written to it since it was seen. Raises Conflict, Missing."""
        found = self.sight.deployment
        if found is None:
            return
        metadata: Tree = {"resourceVersion": found.version}
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        change: Tree = {"metadata": metadata, "spec": {"replicas": replicas}}
        self.cluster.note(await self.cluster.api.patch(DEPLOYMENTS, self.name, change))

    async def annotate(self, annotation: str, value: str | None) -> None:
        """Write one of our annotations, or take it away, if the Deployment is still that one. Raises ApiFailed.

        No more is asked of it: its controller writes to it after each change of an annotation.
        """
        found = self.sight.deployment
        if found is not None:
            change = {"metadata": {"uid": found.uid, "annotations": {annotation: value}}}
            self.cluster.note(await self.cluster.api.patch(DEPLOYMENTS, self.name, change))


async def reconcile(cluster: Cluster, *, dry_run: bool) -> list[Finding]:
    """Compare all workspaces, and mend unless it is a dry run. Raises psycopg.Error.

    A pass takes no longer than BUDGET_S: what hangs, as a pod of a node that is gone does, is told and hinders no other.
    """
    now = datetime.now(UTC)
    cases = await _cases(cluster, now=now)
    judged = [
        (case, drifts(case.row, case.sight, case.standing, now=now, down_since=case.down_since))
        async for case in in_turns(cases)
    ]
    drifted = [(case, found) for case, found in judged if found]
    _tell_of_many_orphans(judged)
    if dry_run:
        return [_finding(case, drift, drift.action.value) for case, found in drifted for drift in found]
    await _mend_keys(cluster)
    # In no order, so that what one pass had no time for is not what the next has no time for.
    random.shuffle(drifted)
    places, until = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop().time() + BUDGET_S

    async def treat(case: Case, found: list[Drift]) -> list[Finding]:
        async with places:
            return [await _mended(case, drift, until=until) for drift in found]

    mended = await asyncio.gather(*(treat(case, found) for case, found in drifted))
    _tell_people(cluster, drifted)
    return sorted((finding for some in mended for finding in some), key=lambda finding: finding.name)


def _tell_of_many_orphans(judged: list[tuple[Case, list[Drift]]]) -> None:
    """Most of what runs being unknown is what a database that is empty, older or another installation's looks like."""
    new = sum(drift.action is Action.MARK_ORPHAN and case.sight.up for case, found in judged for drift in found)
    running = sum(case.sight.up for case, _ in judged)
    if new >= MANY_ORPHANS and new > running / 2:
        log.error("workspaces_unknown_to_the_database", unknown=new, running=running)


async def _mend_keys(cluster: Cluster) -> None:
    try:
        await publish_missed_keys(cluster)
    except (ApiFailed, ImproperlyConfigured) as error:
        log.warning("workspace_keys_not_published", error=str(error))


async def _cases(cluster: Cluster, *, now: datetime) -> list[Case]:
    # The cluster is looked at before the table: what it has, and no row knows, had no row before either.
    seen = {name: cluster.look(name) async for name in in_turns(cluster.workspaces())}
    own = holding.process_holder()
    # What this process holds and does not work on, which its locks tell, it has failed to finish.
    known = {row.name: replace(row, held=row.held and row.holder != own) for row in await rows.live_or_named(seen)}
    terms = await licence_terms({row.user_id for row in known.values()})
    outages = await _outages(cluster, known, now=now)
    cases = []
    async for name in in_turns(sorted(seen.keys() | known.keys())):
        row, sight = known.get(name), seen.get(name) or cluster.look(name)
        if flights().lock(name).locked() or (row is not None and row.backend != "kubernetes" and not sight.up):
            continue
        standing = _standing(terms.get(row.user_id) if row is not None else None, sight, now=now)
        outage = outages.get(name)
        cases.append(Case(cluster, name, row, sight, standing, outage.since if outage is not None else None))
    return cases


async def in_turns(things: Iterable[T]) -> AsyncIterator[T]:
    """Each of them; of thousands, with pauses in which tokens are streamed."""
    for number, each in enumerate(things, 1):
        yield each
        if number % A_TURN == 0:
            await asyncio.sleep(0)


async def _outages(cluster: Cluster, known: Mapping[str, Row], *, now: datetime) -> Mapping[str, Outage]:
    """Those of workspaces that are ready in the table, brought up to date."""
    ready = [name for name, row in known.items() if row.state == State.READY]
    told = {name: outage_of(cluster.look(name), cluster.outages.get(name), now=now) async for name in in_turns(ready)}
    cluster.outages = {name: outage for name, outage in told.items() if outage is not None}
    return cluster.outages


def _standing(term: LicenceTerm | None, sight: Sight, *, now: datetime) -> Standing:
    found, idle_s, outdated = sight.deployment, idle_by(term, now=now), is_outdated(sight)
    if outdated and found is not None and not shorter(found.idle_s, idle_s):
        idle_s = CHANGE_IDLE_S
    if term is not None and (term.ends is None or term.ends > now):
        return Standing(licensed=True, idle_s=idle_s, outdated=outdated)
    if term is not None:
        tier, ended = str(term.tier), term.ends
    else:
        # The licence itself is gone: all that is known of it is what we wrote down.
        tier, ended = (found.licence.partition(" ")[0], moment(found.ended)) if found is not None else ("", None)
    of_tier = {str(each): value for each, value in values().tiers.items()}.get(tier)
    kept_until = ended + timedelta(days=of_tier.keep_data_days) if ended is not None and of_tier is not None else None
    return Standing(licensed=False, ended=ended, kept_until=kept_until, idle_s=idle_s, outdated=outdated)


async def _mended(case: Case, drift: Drift, *, until: float) -> Finding:
    done = drift.action.value
    try:
        async with asyncio.timeout_at(until):
            await _STEPS[drift.action](case)
    except (Conflict, Missing):
        done = "nothing: it has changed meanwhile"
    except (ApiFailed, WorkspaceFailed, NotLicensed, ImproperlyConfigured, psycopg.Error) as error:
        # What a database says may hold a statement's values.
        why = type(error).__name__ if isinstance(error, psycopg.Error) else str(error)
        log.warning("workspace_drift_stays", workspace=case.name, found=drift.found, error=why)
        done = f"{done}: failed"
    except TimeoutError:
        log.warning("workspace_drift_stays", workspace=case.name, found=drift.found, error="the pass is out of time")
        done = f"{done}: not within this pass"
    metrics.DRIFT.labels(drift.action.name.lower()).inc()
    if drift.action not in TOLD:
        log.info("workspace_drift", workspace=case.name, found=drift.found, done=done)
    return _finding(case, drift, done)


def _finding(case: Case, drift: Drift, done: str) -> Finding:
    return Finding(case.name, case.row.user_id if case.row is not None else "", drift.found, done)


def _tell_people(cluster: Cluster, drifted: list[tuple[Case, list[Drift]]]) -> None:
    """Log what is left to people when it comes up, and count it, and what waits for a start, for as long as it is there."""
    metrics.FINDINGS.clear()
    for each in (drift for _, found in drifted for drift in found if drift.action in TOLD):
        metrics.FINDINGS.labels(each.found).inc()
    left = [(case.name, each.found) for case, found in drifted for each in found if each.action is Action.REPORT]
    for name, found in sorted(set(left) - cluster.told):
        log.warning("workspace_needs_a_look", workspace=name, found=found)
    cluster.told = frozenset(left)


async def _finish(case: Case) -> None:
    lock = flights().lock(case.name)
    if case.row is None or lock.locked():
        raise _overtaken(case, "finish")
    if case.row.state == State.STARTING:
        await give_back(case.cluster, case.name)
    await _end(case)


async def _end(case: Case) -> None:
    async with launching.ending(case.name, seen=case.row) as claim:
        if claim is None:
            raise _overtaken(case, "stop")


async def _note_ended(case: Case) -> None:
    if case.row is not None:
        await note_ended(case.row)


async def _adopt(case: Case) -> None:
    pod = occupied(case.sight)
    if case.row is not None and pod is not None:
        facts = {"name": case.name, **facts_of(case.sight, pod)}
        await rows.note_running(case.row, Instance(url=endpoint(case.name), facts=facts))


async def scale_down(case: Case) -> None:
    """Scale to 0 what nobody is at. Raises Conflict, ApiFailed."""
    await require_none_at_work(case.cluster, case.name)
    await case.scale(0)


async def _give_up(case: Case) -> None:
    """The row first: where the scaling fails, one that has failed and has a pod is scaled down later."""
    verdict = judge(case.sight)
    if verdict.trouble is not None:
        failure = failure_of_trouble(verdict.trouble)
    else:
        failure = failure_of_cause(TOO_LATE[verdict.stage], "nobody could use it for 10 minutes")
    lock = flights().lock(case.name)
    if case.row is None or lock.locked():
        raise _overtaken(case, "give up")
    async with lock:
        await require_none_ready(case.cluster, case.name)
        if not await rows.note_failed(case.row, failure):
            raise _overtaken(case, "give up")
        await case.scale(0)


async def _scale_to_one(case: Case) -> None:
    await case.scale(1)


async def _mend(case: Case) -> None:
    """Of what was stopped or deleted meanwhile nothing is mended: only a start may wake it."""
    lock = flights().lock(case.name)
    if case.row is None or lock.locked():
        raise _overtaken(case, "mend")
    async with lock:
        row, sight = await rows.find(case.name), case.cluster.look(case.name)
        if row is None or (row.generation, row.state) != (case.row.generation, case.row.state) or not sight.up:
            raise _overtaken(case, "mend")
        await mend(case.cluster, spec_of(await active_licence(row.user_id)), sight)


def _overtaken(case: Case, what: str) -> Conflict:
    return Conflict("somebody has acted on it since it was seen", about=f"{what} {case.name}")


async def _shorten(case: Case) -> None:
    if case.sight.deployment is not None:
        idle_s = shorter(case.sight.deployment.idle_s, case.standing.idle_s)
        await shorten(case.cluster, case.sight, idle_s)


async def _mark_ended(case: Case) -> None:
    await case.annotate(ENDED, datetime.now(UTC).isoformat(timespec="seconds"))


async def _unmark_ended(case: Case) -> None:
    await case.annotate(ENDED, None)


async def _mark_orphan(case: Case) -> None:
    await case.annotate(ORPHANED, datetime.now(UTC).isoformat(timespec="seconds"))


async def _stop_orphan(case: Case) -> None:
    await case.scale(0, {ORPHANED: datetime.now(UTC).isoformat(timespec="seconds")})


async def _unmark_orphan(case: Case) -> None:
    await case.annotate(ORPHANED, None)


async def _delete(case: Case) -> None:
    await remove_seen(case.cluster, case.name, case.sight)


async def _nothing(_case: Case) -> None:
    """It is for people to look at, or for the next start."""


_STEPS: dict[Action, Callable[[Case], Awaitable[None]]] = {
    Action.FINISH: _finish,
    Action.NOTE_ENDED: _note_ended,
    Action.ADOPT: _adopt,
    Action.STOP: _end,
    Action.SCALE_DOWN: scale_down,
    Action.GIVE_UP: _give_up,
    Action.SCALE_TO_ONE: _scale_to_one,
    Action.MEND: _mend,
    Action.SHORTEN: _shorten,
    Action.MARK_ENDED: _mark_ended,
    Action.UNMARK_ENDED: _unmark_ended,
    Action.MARK_ORPHAN: _mark_orphan,
    Action.STOP_ORPHAN: _stop_orphan,
    Action.UNMARK_ORPHAN: _unmark_orphan,
    Action.DELETE_ORPHAN: _delete,
    Action.DELETE_PARTS: _delete,
    Action.AWAIT: _nothing,
    Action.REPORT: _nothing,
}
