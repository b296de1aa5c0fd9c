"""Bring the table and the cluster in line. What is compared is known already: only what is mended costs calls.

Each step is bound to what was seen: a row's generation, an object's uid and version. Whoever was there first wins.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from accounts.licences import NotLicensed, active_licence
from accounts.standing import LicenceTerm, licence_terms
from provisioning import launching, rows
from provisioning.backends import Finding, Instance
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.demand import new_mark
from provisioning.backends._kubernetes.drift import Action, Drift, Standing, drifts
from provisioning.backends._kubernetes.errors import ApiFailed, Conflict, Missing
from provisioning.backends._kubernetes.judging import judge
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS
from provisioning.backends._kubernetes.manifests import ORPHANED
from provisioning.backends._kubernetes.placing import Placing
from provisioning.backends._kubernetes.removing import remove
from provisioning.backends._kubernetes.starting import endpoint
from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.values import values
from provisioning.errors import WorkspaceFailed
from provisioning.flights import flights
from provisioning.rows import Row
from provisioning.settling import note_ended
from provisioning.specs import spec_of

NEVER = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Case:
    """One workspace as it was seen."""

    cluster: Cluster
    name: str
    row: Row | None
    sight: Sight

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


async def reconcile(cluster: Cluster, *, dry_run: bool) -> list[Finding]:
    """Compare all workspaces, and mend unless it is a dry run. Raises psycopg.Error."""
    # The cluster is looked at before the table: what it has, and no row knows, had no row before either.
    seen = {name: cluster.look(name) for name in cluster.workspaces()}
    known = {row.name: row for row in await rows.listing()}
    terms = await licence_terms({row.user_id for row in known.values()})
    now = datetime.now(UTC)
    findings: list[Finding] = []
    for name in sorted(seen.keys() | known.keys()):
        row = known.get(name)
        case = Case(cluster, name, row, seen.get(name) or cluster.look(name))
        if flights().lock(name).locked() or (row is not None and row.backend != "kubernetes" and not case.sight.up):
            continue
        standing = _standing(terms.get(row.user_id) if row is not None else None, now=now)
        found = drifts(row, case.sight, standing, now=now)
        findings += [await _mended(case, drift, dry_run=dry_run) for drift in found]
    return findings


def _standing(term: LicenceTerm | None, *, now: datetime) -> Standing:
    if term is None:
        return Standing(licensed=False, ended=NEVER)
    if term.ends is None or term.ends > now:
        return Standing(licensed=True)
    keep = timedelta(days=values().tiers[term.tier].keep_data_days)
    return Standing(licensed=False, ended=term.ends, kept_until=term.ends + keep)


async def _mended(case: Case, drift: Drift, *, dry_run: bool) -> Finding:
    done = drift.action.value
    if not dry_run:
        try:
            await _STEPS[drift.action](case)
        except (Conflict, Missing):
            done = "nothing: it has changed meanwhile"
        except (ApiFailed, WorkspaceFailed, NotLicensed) as error:
            log.warning("workspace_drift_stays", workspace=case.name, found=drift.found, error=str(error))
            done = f"{done}: failed"
    log.info("workspace_drift", workspace=case.name, found=drift.found, done=done, dry_run=dry_run)
    return Finding(case.name, case.row.user_id if case.row is not None else "", drift.found, done)


async def _end(case: Case) -> None:
    async with launching.ending(case.name, seen=case.row):
        pass


async def _note_ended(case: Case) -> None:
    if case.row is not None:
        await note_ended(case.row)


async def _adopt(case: Case) -> None:
    pod = judge(case.sight).ready
    if case.row is not None and pod is not None:
        facts = {"name": case.name, "pod": pod.uid}
        await rows.note_running(case.row, Instance(url=endpoint(case.name), facts=facts))


async def _scale_down(case: Case) -> None:
    await case.scale(0)


async def _scale_to_one(case: Case) -> None:
    await case.scale(1)


async def _mend(case: Case) -> None:
    if case.row is not None:
        spec = spec_of(await active_licence(case.row.user_id))
        await Placing(case.cluster, spec, new_mark()).place(restart=False)


async def _mark_orphan(case: Case) -> None:
    await case.scale(0, {ORPHANED: datetime.now(UTC).isoformat(timespec="seconds")})


async def _unmark_orphan(case: Case) -> None:
    found = case.sight.deployment
    if found is not None:
        await case.scale(found.replicas, {ORPHANED: None})


async def _delete(case: Case) -> None:
    await remove(case.cluster, case.name, with_data=False)


async def _nothing(_case: Case) -> None:
    """For people to look at."""


_STEPS: dict[Action, Callable[[Case], Awaitable[None]]] = {
    Action.FINISH: _end,
    Action.NOTE_ENDED: _note_ended,
    Action.ADOPT: _adopt,
    Action.STOP: _end,
    Action.SCALE_DOWN: _scale_down,
    Action.SCALE_TO_ONE: _scale_to_one,
    Action.MEND: _mend,
    Action.MARK_ORPHAN: _mark_orphan,
    Action.UNMARK_ORPHAN: _unmark_orphan,
    Action.DELETE_ORPHAN: _delete,
    Action.DELETE_PARTS: _delete,
    Action.REPORT: _nothing,
}
