"""When a Deployment is scaled to 0, over whatever may happen between two steps, on a virtual clock."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_sidecar.policy import Activity, Terms
from lifecycle_sidecar.scale_down import LONGEST_PAUSE_S, ScaleDown

LONGEST_STEP_S = 7.0


@dataclass(frozen=True)
class Turn:
    """One look of the sidecar, and what happens around it.

    `before`, `between` and `last` happen before the look, after the version was read, and before the stop arrives: 'demand'
    is the gateway's write, 'request' is that write and a useful request that is over at once, 'begin' one that lasts until
    an 'end', 'use' a request of a client that has been there and writes nothing. `serves` and `reads` tell whether server
    and API server answer; `stops` is 'ok', 'lost' when the stop was taken and its answer never came, or 'failed'.
    """

    step_s: float
    before: str
    between: str
    last: str
    serves: bool
    reads: bool
    stops: str


class World:
    """The server, its Deployment, its gateway and its user; what must hold is checked at the moment of a stop."""

    def __init__(self, idle_s: float) -> None:
        self.idle_s = idle_s
        self.now = 0.0
        self.version = 1
        self.uses = 0
        self.in_flight = 0
        self.wanted_at = 0.0
        self.stops = 0

    def happen(self, event: str) -> None:
        if not event or (event == "end" and not self.in_flight):
            return
        self.wanted_at = self.now
        self.version += event in ("demand", "request", "begin")
        self.uses += event != "demand"
        self.in_flight += {"begin": 1, "end": -1}.get(event, 0)

    def said(self, turn: Turn) -> Activity | None:
        return Activity(self.in_flight, float(self.uses)) if turn.serves else None

    def take_stop(self, version: str, turn: Turn) -> None:
        """The API server takes the stop, if its precondition holds."""
        if turn.stops == "failed" or version != str(self.version):
            return
        assert self.in_flight == 0
        assert self.now - self.wanted_at >= self.idle_s
        self.version += 1
        self.stops += 1


def live(world: World, plan: ScaleDown, turn: Turn) -> None:
    """One look with all that happens around it."""
    world.now += turn.step_s
    world.happen(turn.before)
    if not plan.look(world.now, world.said(turn)):
        return
    if not turn.reads:
        plan.failed(world.now)
        return
    version = str(world.version)
    world.happen(turn.between)
    if plan.read(world.now, version) and plan.may_stop(world.now, world.said(turn)):
        world.happen(turn.last)
        world.take_stop(version, turn)
        if turn.stops == "ok":
            plan.answered(world.now)
        else:
            plan.failed(world.now)


events = st.sampled_from(["", "", "demand", "request", "use", "begin", "end", "end"])
mostly = st.sampled_from([True, True, True, False])
# Nothing can notice a client that writes nothing after the last look.
turns = st.builds(
    Turn,
    step_s=st.floats(0, 20) | st.floats(0, 1e6),
    before=events,
    between=events,
    last=st.sampled_from(["", "", "demand", "request", "begin"]),
    serves=mostly,
    reads=mostly,
    stops=st.sampled_from(["ok", "ok", "lost", "failed"]),
)


# Mostly quiet, or no history would come as far as a stop.
ALONE = Turn(5, "", "", "", serves=True, reads=True, stops="ok")
stretches = st.builds(lambda quiet, turn: [*[ALONE] * quiet, turn], st.integers(0, 8), turns)
histories = st.lists(stretches, max_size=20).map(lambda parts: list(chain.from_iterable(parts)))


@given(histories, st.integers(1, 20))
def test_whoever_wants_the_workspace_has_it_for_the_whole_idle_time(history: list[Turn], idle_s: int) -> None:
    """Whatever fails, sleeps or is lost: at each stop nothing is in flight and the last wish is as old as the idle time."""
    live_all(World(idle_s), history)


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(histories, st.integers(1, 20))
def test_ten_thousand_histories_stop_nobody_early(history: list[Turn], idle_s: int) -> None:
    """The same, for long."""
    live_all(World(idle_s), history)


@given(histories, st.integers(1, 20))
def test_whatever_happened_a_workspace_left_alone_is_stopped(history: list[Turn], idle_s: int) -> None:
    world = World(idle_s)
    plan = live_all(world, history)
    while world.in_flight:
        world.happen("end")
    stops = world.stops

    for _ in range(int((LONGEST_PAUSE_S + 2 * idle_s) / 5) + 6):
        live(world, plan, ALONE)

    assert world.stops > stops


def live_all(world: World, history: list[Turn]) -> ScaleDown:
    """A sidecar that has been through a history."""
    plan = ScaleDown(Terms(world.idle_s, None, LONGEST_STEP_S), first_pause_s=5)
    for turn in history:
        live(world, plan, turn)
    return plan
