"""What a gateway's reconciling does for the workspace: judged by what the gateway has heard, and done step by step."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from provisioning import rows
from provisioning.backends import Instance
from provisioning.backends._kubernetes import reconciling, removing
from provisioning.backends._kubernetes.drift import Action, Standing, drifts
from provisioning.backends._kubernetes.emptying import give_back
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.judging import occupied
from provisioning.backends._kubernetes.reconciling import Case
from provisioning.errors import WorkspaceFailed
from provisioning.models import State
from provisioning.rows import ClaimLost
from provisioning.tests.comeback.sidecar import IDLE_S

if TYPE_CHECKING:
    from provisioning.tests.comeback.gateway import Gateway

STANDING = Standing(licensed=True, idle_s=IDLE_S)
# Every row is as old as one must be to be judged: a watch may be late for longer than that.
NOW = datetime.now(UTC)
SINCE = NOW - timedelta(hours=1)


async def reconcile(gateway: "Gateway", *, name: str, alone: asyncio.Lock) -> None:
    """One pass over the one workspace; what is done to it is counted in the world."""
    row, sight = seen(gateway, name), gateway.cluster.look(name)
    if alone.locked():
        return
    for drift in drifts(row, sight, STANDING, now=NOW):
        case = Case(gateway.cluster, name, row, sight, STANDING)
        try:
            await _done(gateway, case, drift.action, alone=alone)
        except (ApiFailed, WorkspaceFailed, ClaimLost) as error:
            gateway.world.happened[f"{drift.action.name.lower()}_{type(error).__name__.lower()}"] += 1
        else:
            gateway.world.happened[drift.action.name.lower()] += 1


def seen(gateway: "Gateway", name: str) -> rows.Row:
    """The world's row as the table would have it."""
    row = gateway.world.row
    state = State.STARTING if row.holder is not None else State.READY if row.ready else State.FAILED
    return rows.Row(
        name=name, user_id="demo-pro", backend="kubernetes", state=state, stage="", stage_detail="", url=row.instance.url,
        facts=row.instance.facts, holder=None, generation=row.generation, last_cause="", last_detail="", since=SINCE,
        held=row.busy,
    )  # fmt: skip


async def _done(gateway: "Gateway", case: Case, action: Action, *, alone: asyncio.Lock) -> None:
    assert case.row is not None
    row = gateway.world.row
    if action is Action.SCALE_DOWN:
        await reconciling.scale_down(case)
        return
    if (row.generation, seen(gateway, case.name).state) != (case.row.generation, case.row.state):
        raise ClaimLost
    if action is Action.NOTE_ENDED:
        row.note_ended()
    elif action is Action.ADOPT:
        pod = occupied(case.sight)
        assert pod is not None
        row.settle(row.claim(gateway), Instance(url="http://x", facts={"name": case.name, "pod": pod.uid}))
    elif action is Action.FINISH:
        await give_back(gateway.cluster, case.name)
        if row.generation != case.row.generation:
            raise ClaimLost
        async with alone:
            claim = row.claim(gateway)
            try:
                await removing.stop(gateway.cluster, case.name)
            finally:
                row.settle(claim, Instance())
    else:
        raise AssertionError(f"{action} is of nothing that happens here")
