"""Ways in which the table and the cluster come apart, and what is to be done about each."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import UserLicence
from gateway import db
from gateway.ids import new_uuid
from provisioning.backends import Finding
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.drift import Action
from provisioning.backends._kubernetes.manifests import DEMAND, ENDED, IDLE, ORPHANED
from provisioning.backends.kubernetes import BACKEND
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Plan, Trouble

USER = "demo-pro"
NAME = workspace_name(USER)
LONG_AGO = timedelta(days=8)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Inject = Callable[[Bed], Awaitable[None]]
MARKS = {"orphaned": ORPHANED, "demand": DEMAND, "ended": ENDED}


async def reconcile(*, dry_run: bool = False) -> list[Finding]:
    return await BACKEND.reconcile(dry_run=dry_run)


async def write(sql: Any, *values: object) -> None:
    async with db.connection() as conn:
        await conn.execute(sql, values)


async def settle() -> None:
    """Let the row be as old as one must be to be judged."""
    await write("UPDATE workspaces SET since = since - interval '2 minutes'")


async def has_been_down_for(since: timedelta) -> None:
    """As if this process had seen it so much longer."""
    known = await cluster()
    known.outages = {name: replace(each, since=each.since - since) for name, each in known.outages.items()}


async def row_says(state: State, *, held: bool = False) -> None:
    holder = new_uuid()
    await write("UPDATE workspaces SET state = %s, holder = %s", state, holder if not held else None)


async def forget_row(bed: Bed) -> None:
    await write("DELETE FROM workspaces")


async def scaled(bed: Bed, replicas: int) -> None:
    await bed.scale(NAME, replicas)


def deleted(plural: str) -> Inject:
    async def inject(bed: Bed) -> None:
        bed.cluster.delete(plural, NAME)

    return inject


def annotated(**annotations: str | timedelta) -> Inject:
    """Marks as they stand, or of a moment that long ago."""

    async def inject(bed: Bed) -> None:
        now = datetime.now(UTC)
        given = {
            MARKS[key]: value if isinstance(value, str) else (now - value).isoformat()
            for key, value in annotations.items()
        }
        bed.cluster.edit("deployments", NAME, lambda tree: tree["metadata"]["annotations"].update(given))

    return inject


def idle_times(bed: Bed) -> set[str]:
    """What the Deployment and its pods say."""
    trees = [bed.cluster.get("deployments", NAME), *bed.cluster.pods_of(NAME)]
    return {tree["metadata"]["annotations"][IDLE] for tree in trees}


def row_is(state: State) -> Inject:
    async def inject(bed: Bed) -> None:
        await row_says(state)

    return inject


def scale_is(replicas: int) -> Inject:
    async def inject(bed: Bed) -> None:
        await bed.scale(NAME, replicas)

    return inject


async def pod_fails(bed: Bed) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.CRASH_LOOP))
    await bed.scale(NAME, 0)
    await bed.scale(NAME, 1)


def licence_ended(ago: timedelta) -> Inject:
    async def inject(bed: Bed) -> None:
        await write("UPDATE user_licenses SET expires_at = clock_timestamp() - %s", ago)

    return inject


async def licence_has_a_shorter_idle_time(bed: Bed) -> None:
    await write("""UPDATE user_licenses SET resource_limits = '{"idle_s": 60}'""")


async def licence_has_a_longer_idle_time(bed: Bed) -> None:
    await write("""UPDATE user_licenses SET resource_limits = '{"idle_s": 0}'""")


async def licence_is_unreadable(bed: Bed) -> None:
    await write("""UPDATE user_licenses SET resource_limits = '{"idle_s": "soon"}'""")


async def licence_is_removed(bed: Bed) -> None:
    await UserLicence.objects.all().adelete()


async def nobody_asks(bed: Bed) -> None:
    await annotated(demand=f"{(datetime.now(UTC) - LONG_AGO).isoformat()} somebody")(bed)


async def volume_is_lost(bed: Bed) -> None:
    bed.cluster.edit(VOLUMES, NAME, lambda tree: tree["status"].update(phase="Lost"))


def is_stranded(pod: dict[str, Any]) -> None:
    """As the control plane writes it when it hears nothing of the pod's node: its containers are as they were."""
    said = {"Ready": "False", "ContainersReady": "True"}
    for each in pod["status"]["conditions"]:
        each["status"] = said.get(each["type"], each["status"])


async def volume_lets_go(bed: Bed) -> None:
    """Somebody deletes the volume and takes its finalizer away, so that it is gone under the pod that has it."""
    bed.cluster.delete(VOLUMES, NAME)
    bed.cluster.edit(VOLUMES, NAME, lambda tree: tree["metadata"].pop("finalizers", None))


OLD, LATELY, NEW = LONG_AGO, HOUR, timedelta(0)
STATES: list[tuple[str, list[Inject], set[Action]]] = [
    ("all is well", [], set()),
    ("the Deployment is gone", [deleted("deployments")], {Action.NOTE_ENDED}),
    ("scaled to 0 behind our back", [scale_is(0)], {Action.NOTE_ENDED}),
    ("scaled to 3", [scale_is(3)], {Action.SCALE_TO_ONE}),
    ("the Service is gone", [deleted("services")], {Action.MEND}),
    ("the ServiceAccount is gone", [deleted("serviceaccounts")], {Action.MEND}),
    ("both are gone", [deleted("services"), deleted("serviceaccounts")], {Action.MEND}),
    ("all but the volume is gone", [deleted("deployments"), deleted("serviceaccounts")], {Action.NOTE_ENDED}),
    ("a start of a dead gateway, up", [row_is(State.STARTING)], {Action.ADOPT}),
    ("a start of a dead gateway, down", [scale_is(0), row_is(State.STARTING)], {Action.FINISH}),
    ("a start of a dead gateway, in trouble", [pod_fails, row_is(State.STARTING)], {Action.FINISH}),
    ("a start of a dead gateway, without Service", [deleted("services"), row_is(State.STARTING)], {Action.FINISH}),
    (
        "a start of a dead gateway, without Deployment",
        [deleted("deployments"), row_is(State.STARTING)],
        {Action.FINISH},
    ),
    ("a stop of a dead gateway, up", [row_is(State.STOPPING)], {Action.FINISH}),
    ("a stop of a dead gateway, down", [scale_is(0), row_is(State.STOPPING)], {Action.FINISH}),
    ("a stop of a dead gateway, gone", [deleted("deployments"), row_is(State.STOPPING)], {Action.FINISH}),
    ("stopped in the table, and runs", [row_is(State.STOPPED)], {Action.ADOPT}),
    ("stopped in the table, and crashes", [row_is(State.STOPPED), pod_fails], {Action.SCALE_DOWN}),
    ("failed in the table, and runs", [row_is(State.FAILED)], {Action.ADOPT}),
    ("failed in the table, and crashes", [row_is(State.FAILED), pod_fails], {Action.SCALE_DOWN}),
    ("no row, runs", [forget_row], {Action.MARK_ORPHAN, Action.SHORTEN}),
    ("no row, sleeps", [scale_is(0), forget_row], {Action.MARK_ORPHAN}),
    ("no row, marked, runs", [annotated(orphaned=NEW), forget_row], {Action.SHORTEN}),
    ("no row, marked long ago, runs", [annotated(orphaned=OLD), forget_row], {Action.STOP_ORPHAN}),
    ("no row, marked lately", [scale_is(0), annotated(orphaned=NEW), forget_row], set()),
    ("no row, marked long ago", [scale_is(0), annotated(orphaned=OLD), forget_row], {Action.DELETE_ORPHAN}),
    ("no row, no volume", [scale_is(0), deleted(VOLUMES), forget_row], {Action.MARK_ORPHAN}),
    (
        "no row, no volume, marked lately",
        [scale_is(0), deleted(VOLUMES), annotated(orphaned=NEW), forget_row],
        set(),
    ),
    (
        "no row, no volume, marked a while ago",
        [scale_is(0), deleted(VOLUMES), annotated(orphaned=LATELY), forget_row],
        {Action.DELETE_ORPHAN},
    ),
    ("no row, marked in no words of ours", [scale_is(0), annotated(orphaned="x"), forget_row], {Action.MARK_ORPHAN}),
    ("no row, a Service without Deployment", [deleted("deployments"), forget_row], {Action.DELETE_PARTS}),
    ("a mark of an orphan that has a row", [annotated(orphaned=OLD)], {Action.UNMARK_ORPHAN}),
    ("the same, and it sleeps", [scale_is(0), annotated(orphaned=OLD)], {Action.NOTE_ENDED, Action.UNMARK_ORPHAN}),
    (
        "the licence has ended, the last mark is old",
        [licence_ended(HOUR), nobody_asks],
        {Action.SHORTEN, Action.MARK_ENDED},
    ),
    ("the licence has ended, the last mark is new", [licence_ended(HOUR)], {Action.SHORTEN, Action.MARK_ENDED}),
    (
        "the licence is gone, the last mark is old",
        [licence_is_removed, nobody_asks],
        {Action.SHORTEN, Action.MARK_ENDED},
    ),
    ("the licence has been gone for a week", [licence_is_removed, annotated(ended=OLD)], {Action.STOP}),
    ("the licence ended days ago, and it runs", [licence_ended(2 * DAY)], {Action.SHORTEN, Action.MARK_ENDED}),
    ("that was seen days ago, and it runs", [licence_ended(2 * DAY), annotated(ended=OLD)], {Action.STOP}),
    ("the licence ended days ago, and it sleeps", [scale_is(0), licence_ended(2 * DAY)], {Action.NOTE_ENDED}),
    ("the licence is gone, and it sleeps", [scale_is(0), licence_is_removed], {Action.NOTE_ENDED, Action.MARK_ENDED}),
    ("a mark that there is no licence, and one", [annotated(ended=OLD)], {Action.UNMARK_ENDED}),
    ("the licence has a shorter idle time", [licence_has_a_shorter_idle_time], {Action.SHORTEN}),
    ("the licence has a longer idle time", [licence_has_a_longer_idle_time], set()),
    ("the licence can't be read", [licence_is_unreadable], set()),
    ("the volume is Lost", [volume_is_lost], set()),
]
# After these no start of a new pod serves.
LOSSES: list[tuple[str, list[Inject], set[Action]]] = [
    ("the volume is being deleted", [deleted(VOLUMES)], set()),
    ("the volume of one that runs is gone", [volume_lets_go], set()),
    ("that and the Service are gone", [volume_lets_go, deleted("services")], set()),
    ("the volume of one that sleeps is gone", [scale_is(0), deleted(VOLUMES)], {Action.NOTE_ENDED}),
]
