"""An idle workspace that stops and a user who comes back, in every order: no request is lost, none is cut in flight.

Two gateways and the real sidecar's code act on one cluster. Each call to the API, each request on its way and each look of
the sidecar is a step, and hypothesis chooses the order; writes fail, or their answers are lost, gateways die between two calls,
they reconcile, the watch of one kind tells late, pods are not ready for a while. Time is virtual. What is assumed is what
demand.py stands on: a request reaches its workspace within a quarter of the idle time after the gateway has said that it is
wanted. `SEED=… make soak ARGS="-k comes_back"` repeats a batch that failed; with `SHRINK=yes` it looks, for minutes, for a
shorter history.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import Phase
from hypothesis import strategies as st

from provisioning.tests.comeback import virtual
from provisioning.tests.comeback.gateway import TROUBLES
from provisioning.tests.comeback.sidecar import Sidecar, sidecar_code
from provisioning.tests.comeback.world import World

ACTIONS = (
    *("A asks", "B asks", "A hears", "B hears", "look", *("look on",) * 4, *("step",) * 8),
    *("A dies", "B dies", "flap", "trouble", "trouble", "A reconciles", "B reconciles"),
)
# What a run must have met, or it says nothing: each actor, what befalls writes, and what reconciling does.
CHOSEN = ("asks", "hears", "look", "on", "step", "dies", "flap", "trouble", "reconciles")
MET = (
    *("stops", "overtaken", "held", "deaths", "failed_starts", "adopt"),
    *(f"act_{each}" for each in CHOSEN),
    *(f"write_{each}" for each in TROUBLES),
)
# What only a long run is sure to meet.
MET_IN_TIME = (*MET, "finish", "finish_conflict", "note_ended")
BATCH, BATCHES = 2_500, 4
HISTORIES = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=15, max_size=60)


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    """The sidecar's own code."""
    with sidecar_code() as code:
        yield code


async def played(sidecar: Sidecar, history: list[tuple[str, int]], *, mark_status: int = 0, runs: bool = True) -> World:
    """A world in which this has happened to a workspace that `runs` or is not there yet, and everybody has finished."""
    world = World(sidecar, mark_status=mark_status)
    await world.act("A asks")
    if runs:
        await world.come_to_rest()
    for action, choice in history:
        await world.act(action, choice=choice)
    await world.come_to_rest()
    await world.end()
    return world


def tell_histories(sidecar: Sidecar, count: int, *, seed: int, mark_status: int = 0) -> Counter[str]:
    """Live through so many histories; what came of their requests and stops. Fails at the first that loses or cuts a request."""
    told: Counter[str] = Counter()
    # A shorter history is looked for on demand only: that takes longer than a test may, and looks like one that hangs.
    phases = tuple(each for each in Phase if each is not Phase.shrink or os.environ.get("SHRINK"))

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=count, database=None, print_blob=True, phases=phases)
    @hypothesis.given(history=HISTORIES, runs=st.booleans())
    def live(history: list[tuple[str, int]], runs: bool) -> None:
        world = virtual.run(played(sidecar, history, mark_status=mark_status, runs=runs))
        lost = sum(not asked.served for asked in world.requests)
        told.update(
            histories=1, requests=len(world.requests), lost=lost, stops=world.stops, cut=world.cut, held=world.held,
            overtaken=world.overtaken, failed_starts=world.failed, deaths=world.died,
            **world.happened,
        )  # fmt: skip

        assert lost == 0
        assert world.cut == 0

    live()
    return told


# 15 s of processor time, which a machine that does much else may take minutes to give.
@pytest.mark.timeout(400)
def test_whoever_comes_back_while_an_idle_workspace_stops_is_served(sidecar: Sidecar) -> None:
    """Source: DESIGN.md, Workspaces: the sidecar stops with a precondition, so that a user who comes back wins."""
    told = tell_histories(sidecar, 200, seed=1)

    assert [each for each in MET if not told[each]] == []


@pytest.mark.parametrize("status", [403, 429, 503])
def test_whoever_comes_back_is_served_also_while_no_mark_can_be_written(sidecar: Sidecar, status: int) -> None:
    """Source: the sidecar's calls may pass where the gateway's do not, by their rights or their priority level."""
    told = tell_histories(sidecar, 40, seed=3, mark_status=status)

    assert told["stops"] + told["overtaken"] > 0, told


def test_a_start_that_has_to_place_a_workspace_again_marks_it_again(sidecar: Sidecar) -> None:
    """Source: the same mark a second time changes no version, and its sidecar stopped what had just been wanted."""
    begins_late = [("look on", 0)] * 3 + [
        ("A asks", 0),
        ("trouble", 0),
        ("step", 0),
        ("trouble", 0),
        ("step", 0),
        ("step", 0),
    ]
    places_twice = [("look on", 0), ("step", 0), ("look on", 1), ("trouble", 0), ("step", 0), ("step", 0), ("step", 0)]
    world = virtual.run(played(sidecar, [*begins_late, *places_twice, ("look", 0)]))

    assert (world.happened["write_refused"], world.cut) == (3, 0)


def test_a_mark_whose_answer_was_lost_is_as_old_as_the_first_time_it_was_sent(sidecar: Sidecar) -> None:
    """Source: the second time it changes no version, and its sidecar stopped what was held for idle by then."""
    lost = [("A dies", 0), ("A asks", 0), ("trouble", 3), ("step", 0), ("look on", 1)]
    world = virtual.run(played(sidecar, [*lost, *[("step", 0)] * 2, ("look", 0)]))

    assert (world.happened["write_again"], world.cut) == (1, 0)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_whoever_comes_back_is_served_ten_thousand_times(
    batch: int, sidecar: Sidecar, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randint(1, 2**31)) + batch
    with capsys.disabled():
        print(f"\nSEED={seed}")  # noqa: T201 - to repeat a run that failed

    told = tell_histories(sidecar, BATCH, seed=seed)

    with capsys.disabled():
        print(dict(told))  # noqa: T201
    assert [each for each in MET_IN_TIME if not told[each]] == []


def test_the_world_can_stop_a_workspace_and_wake_it(sidecar: Sidecar) -> None:
    """Otherwise the histories above would say nothing."""

    async def history() -> tuple[World, str, str]:
        world = await played(sidecar, [("look on", 0)] * 8)
        stopped = world.ready()
        world.over = False
        world.ask("B")
        await world.come_to_rest()
        await world.end()
        return world, stopped, world.ready()

    world, stopped, woken = virtual.run(history())
    assert world.stops == 1
    assert stopped == ""
    assert woken
