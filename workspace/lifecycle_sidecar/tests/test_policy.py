"""When a workspace stops, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_sidecar.policy import Activity, Reason, Sighting, Terms, Watch

POLL_S = 5.0
QUIET = Activity(in_flight=0, last_useful=1000.0)
BUSY = Activity(in_flight=1, last_useful=1000.0)
TERMS = Terms(idle_s=60, owner_timeout_s=30, longest_step_s=7)
NO_OWNER = Terms(idle_s=60, owner_timeout_s=None, longest_step_s=7)


def stopped_at(terms: Terms, sightings: Iterable[Sighting], *, step_s: float = POLL_S) -> tuple[float, Reason] | None:
    """When and why a watch that looks every `step_s` seconds stops; None when it never does."""
    watch = Watch(terms)
    for number, sighting in enumerate(sightings):
        reason = watch.look(10_000 + number * step_s, sighting)
        if reason is not None:
            return number * step_s, reason
    return None


def alone(*activities: Activity | None) -> list[Sighting]:
    return [Sighting(activity, None) for activity in activities]


def owned(marks: Iterable[int | None], activity: Activity = BUSY) -> list[Sighting]:
    return [Sighting(activity, mark) for mark in marks]


def test_a_quiet_workspace_stops_after_the_idle_time() -> None:
    assert stopped_at(NO_OWNER, alone(*[QUIET] * 20)) == (60, Reason.IDLE)


def test_idle_time_zero_means_never() -> None:
    assert stopped_at(Terms(0, None, 7), alone(*[QUIET] * 100_000)) is None


def test_a_useful_request_begins_the_idle_time_anew() -> None:
    later = Activity(0, 1040.0)

    assert stopped_at(NO_OWNER, alone(*[QUIET] * 11, *[later] * 20)) == (115, Reason.IDLE)


def test_work_in_flight_is_never_stopped_however_old_it_is() -> None:
    assert stopped_at(NO_OWNER, alone(*[BUSY] * 10_000)) is None


def test_work_that_ended_leaves_the_whole_idle_time() -> None:
    assert stopped_at(NO_OWNER, alone(*[BUSY] * 100, *[QUIET] * 20)) == (560, Reason.IDLE)


def test_a_server_that_does_not_answer_is_not_idle() -> None:
    assert stopped_at(NO_OWNER, alone(*[None] * 10_000)) is None
    assert stopped_at(NO_OWNER, alone(*[QUIET] * 11, *[None] * 10_000)) is None


def test_time_without_an_answer_does_not_count_as_idle() -> None:
    assert stopped_at(NO_OWNER, alone(*[QUIET] * 7, *[None] * 100, *[QUIET] * 20)) == (535 + 25, Reason.IDLE)


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_jump_of_the_servers_clock_stops_nothing_early(jump_s: float) -> None:
    jumped = Activity(0, QUIET.last_useful + jump_s)

    assert stopped_at(NO_OWNER, alone(*[QUIET] * 11, *[jumped] * 20)) == (115, Reason.IDLE)


def test_a_silent_owner_is_gone_after_its_time_whatever_is_in_flight() -> None:
    assert stopped_at(TERMS, owned([7] * 20)) == (30, Reason.OWNER_GONE)


def test_a_missing_heartbeat_file_is_silence() -> None:
    assert stopped_at(TERMS, owned([None] * 20)) == (30, Reason.OWNER_GONE)
    assert stopped_at(TERMS, owned([1, 2, 3, *[None] * 20])) == (45, Reason.OWNER_GONE)


def test_a_beating_owner_keeps_the_workspace() -> None:
    assert stopped_at(TERMS, owned(range(10_000))) is None


def test_another_process_that_touches_the_file_has_adopted_the_workspace() -> None:
    assert stopped_at(TERMS, owned([1] * 6 + [2] * 6 + [3] * 20)) == (90, Reason.OWNER_GONE)


def test_a_heartbeat_whose_clock_went_back_is_a_heartbeat() -> None:
    assert stopped_at(TERMS, owned(range(10_000, 0, -1))) is None


def test_an_owner_that_is_there_does_not_keep_an_idle_workspace() -> None:
    assert stopped_at(TERMS, owned(range(100), QUIET)) == (60, Reason.IDLE)


def test_a_machine_that_slept_counts_as_one_step() -> None:
    """Both processes stood still: the owner had no chance to beat."""
    watch = Watch(TERMS)
    watch.look(0, Sighting(QUIET, 1))

    assert watch.look(86_400, Sighting(QUIET, 1)) is None
    assert watch.look(86_405, Sighting(QUIET, 2)) is None


activities = st.none() | st.builds(Activity, st.integers(0, 2), st.floats(0, 2e9))
sightings = st.builds(Sighting, activities, st.none() | st.integers(0, 3))
steps = st.floats(0, 1e6)


@given(st.lists(st.tuples(steps, sightings), min_size=1, max_size=60), st.integers(1, 100))
def test_nothing_stops_a_workspace_before_its_time(looks: list[tuple[float, Sighting]], idle_s: int) -> None:
    """Whatever is seen and whatever the clocks do: at a stop the last looks, back for the whole time, were all quiet."""
    terms = Terms(idle_s=idle_s, owner_timeout_s=None, longest_step_s=7)
    watch, now, quiet_s, before = Watch(terms), 0.0, 0.0, None
    for step, sighting in looks:
        now += step
        reason = watch.look(now, sighting)
        if sighting.activity is not None:
            same = sighting.activity == before and not sighting.activity.in_flight
            quiet_s = quiet_s + step if same else 0.0
            before = sighting.activity
        if reason is not None:
            assert reason is Reason.IDLE
            assert sighting.activity is not None
            assert not sighting.activity.in_flight
            assert quiet_s >= idle_s
            return
