"""What is not as it should be between the table and the cluster, and what to do about it. Pure: facts in, decisions out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from provisioning.backends._kubernetes.cluster import Sight
from provisioning.backends._kubernetes.idling import is_longer
from provisioning.backends._kubernetes.judging import is_broken, occupied
from provisioning.backends._kubernetes.views import DeploymentView
from provisioning.idle_times import shorter
from provisioning.models import State
from provisioning.rows import Row

# A row that changed more recently may tell of what our watch has not told yet.
SETTLED = timedelta(seconds=30)
# A start's row is there before its objects; this is for a delete that is under way, or was under a start.
YOUNG = timedelta(minutes=10)
ORPHAN_KEPT = timedelta(days=7)
# An orphan may be at work, and known to the right database: until then only its own sidecar stops it.
ORPHAN_RUNS = timedelta(days=1)
# Longer than a node that restarts takes, than the longest wait between two crashes, and than any request is in flight for
# (agents.mcp.limits): one that nobody reaches for so long has none left.
DOWN_KEPT = timedelta(minutes=10)
# Without a licence a workspace stops when it is idle; one whose own work goes on and on ends after this.
ENDED_LICENCE_RUNS = timedelta(days=1)


class Action(StrEnum):
    """What is done about a drift."""

    FINISH = "finish what was left half done"
    NOTE_ENDED = "note that it has ended"
    ADOPT = "note that it runs"
    STOP = "stop it"
    SCALE_DOWN = "scale it to 0"
    GIVE_UP = "scale it to 0 and note why it does not run"
    SCALE_TO_ONE = "scale it to 1"
    MEND = "apply what is missing"
    SHORTEN = "let it stop itself sooner"
    MARK_ENDED = "note since when"
    UNMARK_ENDED = "take that mark away"
    MARK_ORPHAN = "mark it as an orphan"
    STOP_ORPHAN = "scale it to 0 and mark it anew"
    UNMARK_ORPHAN = "take the mark of an orphan away"
    DELETE_ORPHAN = "delete all but its data"
    DELETE_PARTS = "delete what is left but its data"
    AWAIT = "nothing: its next start brings the new one"
    REPORT = "nothing: look at it"


@dataclass(frozen=True)
class Standing:
    """A user's licence. `ended` is since when there has been no valid one, None = there is one, or nobody knows yet.

    `kept_until` is the end of the term of its data. `idle_s` is what the workspace's idle time shall not be longer than;
    `outdated` is whether its next pod would be made from another release than the running one.
    """

    licensed: bool
    ended: datetime | None = None
    kept_until: datetime | None = None
    idle_s: int = 0
    outdated: bool = False


@dataclass(frozen=True)
class Drift:
    """What was found, in words for the operator, and what shall be done."""

    found: str
    action: Action


def drifts(
    row: Row | None, sight: Sight, standing: Standing, *, now: datetime, down_since: datetime | None = None
) -> list[Drift]:
    """What is to be done for one workspace; nothing while somebody is at work on it or has been a moment ago.

    `down_since` is since when its server has not run though it shall, None = it does, or nobody knows.
    """
    if row is None:
        return list(_of_an_orphan(sight, standing, now=now))
    if row.state in {State.STARTING, State.STOPPING}:
        return list(_of_half_done(row, sight))
    if now - row.since < SETTLED:
        return []
    if row.state != State.READY:
        found = _of_a_resting(row, sight)
    elif down_since is not None and now - down_since >= DOWN_KEPT:
        found = iter([Drift("ready in the table, and nobody could use it for 10 minutes", Action.GIVE_UP)])
    else:
        found = _of_a_running(sight, standing, now=now)
    return [*_of_any(sight, standing, now=now), *found]


def _of_half_done(row: Row, sight: Sight) -> Iterator[Drift]:
    if row.held:
        return
    if row.state == State.STARTING and sight.complete and occupied(sight) is not None:
        yield Drift("came up, and no gateway was at it any more", Action.ADOPT)
    else:
        yield Drift(f"{row.state} in the table, and no gateway is at it", Action.FINISH)


def _of_an_orphan(sight: Sight, standing: Standing, *, now: datetime) -> Iterator[Drift]:
    deployment = sight.deployment
    if deployment is None:
        if any(_is_old(part.created, now) for part in (sight.service, sight.account) if part is not None):
            yield Drift("a Service or ServiceAccount without a Deployment", Action.DELETE_PARTS)
    elif not deployment.deleting:
        yield from _of_an_orphans_deployment(sight, standing, now=now, marked=moment(deployment.orphaned))
    if sight.volume is not None:
        yield Drift("data that no row knows", Action.REPORT)


def _of_an_orphans_deployment(
    sight: Sight, standing: Standing, *, now: datetime, marked: datetime | None
) -> Iterator[Drift]:
    """Its sidecar stops one that runs, sooner than it would have: a database that is wrong cuts off nobody's work."""
    if sight.up and marked is not None and now - marked > ORPHAN_RUNS:
        yield Drift("has run for a day, and no row knows it", Action.STOP_ORPHAN)
        return
    if sight.up and sight.volume is None and occupied(sight) is None:
        # A start makes the volume first: this one's pod comes up never.
        yield Drift("can't run without data, and no row knows it", Action.STOP_ORPHAN)
        return
    if marked is None:
        yield Drift("a Deployment that no row knows", Action.MARK_ORPHAN)
    if (
        sight.up
        and sight.deployment is not None
        and is_longer(sight, shorter(sight.deployment.idle_s, standing.idle_s))
    ):
        yield Drift("may be idle for longer than what no row knows", Action.SHORTEN)
    if sight.up or marked is None:
        return
    if now - marked > ORPHAN_KEPT:
        yield Drift("a Deployment that no row has known for 7 days", Action.DELETE_ORPHAN)
    elif sight.volume is None and now - marked > YOUNG:
        # It leads to no data, and where it is alone its user's next start fails as if they were lost.
        yield Drift("a Deployment without data that no row has known for 10 minutes", Action.DELETE_ORPHAN)


def _of_a_running(sight: Sight, standing: Standing, *, now: datetime) -> Iterator[Drift]:
    deployment = sight.deployment
    if deployment is None or not sight.up:
        yield Drift("ready in the table, and does not run", Action.NOTE_ENDED)
        return
    # From when it was seen: an older database, whose licences have been renewed since, cuts off nothing at once.
    marked = moment(deployment.ended)
    if not standing.licensed and marked is not None and now - marked > ENDED_LICENCE_RUNS:
        yield Drift("has run for a day without a valid licence", Action.STOP)
        return
    if is_longer(sight, shorter(deployment.idle_s, standing.idle_s)):
        yield Drift("may be idle for longer than its licence gives", Action.SHORTEN)
    if sight.pod is not None and sight.pod.at_work and is_broken(sight.pod):
        yield Drift("its sidecar crashes: nobody reaches it, and it does not stop", Action.REPORT)
    if standing.outdated:
        yield Drift("runs what an earlier release made", Action.AWAIT)
    # Without its volume it is left to people: an empty one would hide the loss.
    parts_missing = sight.service is None or sight.account is None
    if parts_missing and sight.volume is not None and standing.licensed:
        yield Drift("runs without all of its objects", Action.MEND)
    if deployment.replicas > 1:
        yield Drift(f"{deployment.replicas} pods for one volume", Action.SCALE_TO_ONE)


def _of_a_resting(row: Row, sight: Sight) -> Iterator[Drift]:
    if not sight.up:
        return
    if occupied(sight) is not None:
        # Its sidecar stops it when nobody uses it, and until then it may be used, also where a start that joined it has failed,
        # and also while it is not ready, which it may be of too much work.
        yield Drift(f"runs, and is {row.state} in the table", Action.ADOPT)
    else:
        yield Drift(f"{row.state} in the table, and a pod is wanted", Action.SCALE_DOWN)


def _of_any(sight: Sight, standing: Standing, *, now: datetime) -> Iterator[Drift]:
    if sight.deployment is not None and sight.deployment.orphaned:
        yield Drift("marked as an orphan, and a row knows it", Action.UNMARK_ORPHAN)
    if sight.deployment is not None and sight.deployment.ended and standing.licensed:
        yield Drift("marked as without a licence, and has one", Action.UNMARK_ENDED)
    if sight.deployment is not None and not standing.licensed and _is_unmarked(sight.deployment, standing):
        yield Drift("its user has no licence any more", Action.MARK_ENDED)
    if sight.deployment is not None and sight.volume is None:
        yield Drift("its volume is gone", Action.REPORT)
    if sight.volume is not None and sight.volume.deleting:
        yield Drift("its volume is being deleted", Action.REPORT)
    if sight.volume is not None and sight.volume.phase == "Lost":
        yield Drift("its volume is Lost", Action.REPORT)
    if sight.volume is not None and standing.kept_until is not None and now > standing.kept_until:
        yield Drift("data past the term of their licence", Action.REPORT)


def _is_unmarked(deployment: DeploymentView, standing: Standing) -> bool:
    """Whether it is to be noted since when there has been no licence: of one that is removed nothing else tells it."""
    return standing.ended is None or (deployment.replicas > 0 and moment(deployment.ended) is None)


def moment(text: str) -> datetime | None:
    """The moment that an annotation tells; None for one that tells none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _is_old(created: str, now: datetime) -> bool:
    made = moment(created)
    return made is not None and now - made > YOUNG
