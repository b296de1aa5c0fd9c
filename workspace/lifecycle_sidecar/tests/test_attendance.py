"""The sidecar in a pod: its steps on a virtual clock, with a scripted API server over TLS and a scripted `/activity`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle_sidecar.attendance import Attendant
from lifecycle_sidecar.cluster import ClusterFailed, Deployment, own_deployment
from lifecycle_sidecar.options import parse_options
from lifecycle_sidecar.tests.peers import (
    NAME,
    QUIET,
    Cluster,
    Fault,
    activity,
    cluster,
    cut,
    hang,
    refusing,
    saying,
    write_certificates,
)

POLL_S, IDLE_S = 5, 60
# The two looks that find the server quiet, and those of the idle time.
LOOKS_TO_STOP = 2 + IDLE_S // POLL_S


@dataclass
class Pod:
    """A pod with its sidecar: what its server says, what the API server keeps, and the time."""

    cluster: Cluster
    arguments: list[str]
    said: dict[str, Any] = field(default_factory=lambda: dict(QUIET))
    now: float = 5000.0

    def __post_init__(self) -> None:
        self.attendant = self.new_sidecar()

    def new_sidecar(self) -> Attendant:
        options = parse_options(self.arguments, {})
        deployment = replace(own_deployment(options, self.cluster.environ), timeout_s=2.0)
        return Attendant(options, deployment, clock=lambda: self.now)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += POLL_S
            self.attendant.look()

    def used(self) -> None:
        """A useful request has come and gone."""
        self.said["last_useful"] += 1

    def is_stopped(self) -> bool:
        return self.cluster.replicas == 0


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod whose server has just become quiet."""

    def say(_: int) -> dict[str, Any]:
        running.cluster.log.append("look")
        return running.said

    with cluster(tmp_path) as api, activity(say) as url:
        arguments = ["--activity-url", url, "--idle-seconds", str(IDLE_S), "--deployment", NAME]
        running = Pod(api, [*arguments, "--credentials", str(tmp_path)])
        yield running


def test_an_idle_workspace_is_scaled_to_zero_in_its_time(pod: Pod) -> None:
    pod.look(LOOKS_TO_STOP - 1)
    assert not pod.is_stopped()

    pod.look()
    assert pod.cluster.patches == [{"metadata": {"resourceVersion": "100"}, "spec": {"replicas": 0}}]
    assert pod.is_stopped()


def test_the_server_is_asked_once_more_between_the_version_and_the_stop(pod: Pod) -> None:
    """Source: who comes after that look has written to the Deployment before, and the stop is refused."""
    pod.look(LOOKS_TO_STOP)

    assert pod.cluster.log[-4:] == ["look", "GET", "look", "PATCH"]


def test_a_user_who_comes_back_in_the_same_moment_wins(pod: Pod) -> None:
    pod.cluster.before_patch = lambda: pod.cluster.annotate("2026-11-26T10:00:00Z")
    pod.look(LOOKS_TO_STOP)
    assert not pod.is_stopped()

    pod.cluster.before_patch = lambda: None
    pod.look(LOOKS_TO_STOP - 2)
    assert not pod.is_stopped()
    pod.look()
    assert pod.is_stopped()


def test_a_request_that_begins_after_the_version_was_read_keeps_the_workspace(pod: Pod) -> None:
    pod.look(LOOKS_TO_STOP - 1)

    def begin(api: Any) -> None:
        api.answer(200, {"metadata": {"resourceVersion": "100"}})
        pod.said["in_flight"] = 1

    pod.cluster.faults = [begin]
    pod.look()

    assert pod.cluster.log[-2:] == ["GET", "look"]
    assert pod.cluster.patches == []


def test_a_demand_written_while_the_server_is_quiet_begins_the_idle_time_anew(pod: Pod) -> None:
    """The gateway writes to the Deployment before it asks the server, which may be long after."""
    pod.look(LOOKS_TO_STOP - 1)
    pod.cluster.annotate("2026-11-26T10:00:00Z")

    pod.look(IDLE_S // POLL_S)
    assert not pod.is_stopped()
    pod.look()
    assert pod.is_stopped()


def test_a_useful_request_begins_the_idle_time_anew(pod: Pod) -> None:
    pod.look(LOOKS_TO_STOP - 1)
    pod.used()

    pod.look(LOOKS_TO_STOP - 1)
    assert not pod.is_stopped()
    pod.look()
    assert pod.is_stopped()


def test_a_visit_of_the_gateway_costs_one_idle_time(pod: Pod) -> None:
    pod.look(LOOKS_TO_STOP - 1)
    pod.cluster.annotate("2026-11-26T10:00:00Z")
    pod.used()

    pod.look(LOOKS_TO_STOP)

    assert pod.is_stopped()


@pytest.mark.parametrize("work", [{"in_flight": 1}, {"running": {"deployments": 0, "backtests": 1}}, {"kept": 1}])
def test_work_and_kept_deployments_are_never_stopped(pod: Pod, work: dict[str, Any]) -> None:
    pod.said |= work

    pod.look(500)

    assert not pod.is_stopped()
    assert set(pod.cluster.log) == {"look"}


def test_a_deployment_that_nobody_asked_to_keep_does_not_hold_the_workspace(pod: Pod) -> None:
    """It goes on where it was at the next start."""
    pod.said |= {"running": {"deployments": 3, "backtests": 0}, "kept": 0}

    pod.look(LOOKS_TO_STOP)

    assert pod.is_stopped()


def test_idle_time_zero_means_never_and_asks_the_api_server_nothing(pod: Pod) -> None:
    pod.arguments[3] = "0"
    pod.attendant = pod.new_sidecar()

    pod.look(500)

    assert set(pod.cluster.log) == {"look"}


def with_an_idle_file(pod: Pod, file: Path, text: str) -> None:
    """A sidecar that would never stop its pod, but for what this file says."""
    file.write_text(text)
    pod.arguments[3] = "0"
    pod.arguments += ["--idle-file", str(file)]
    pod.attendant = pod.new_sidecar()


def test_an_idle_time_that_is_lowered_while_the_pod_runs_holds_from_then_on(pod: Pod, tmp_path: Path) -> None:
    """Source: a licence that gets smaller, or ends, under a workspace that was never to stop."""
    file = tmp_path / "idle-seconds"
    with_an_idle_file(pod, file, "0")
    pod.look(500)
    assert set(pod.cluster.log) == {"look"}

    file.write_text(str(IDLE_S))
    pod.cluster.annotate("the gateway lowers it")
    pod.look(LOOKS_TO_STOP - 2)
    assert not pod.is_stopped()
    pod.look()
    assert pod.is_stopped()


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan"])
def test_an_idle_file_that_says_nothing_leaves_it_as_it_was(pod: Pod, tmp_path: Path, text: str) -> None:
    """Source: the kubelet replaces the file; an older pod has none of the annotation."""
    file = tmp_path / "idle-seconds"
    with_an_idle_file(pod, file, str(IDLE_S))
    pod.look()
    file.write_text(text)
    pod.look()
    file.unlink()
    pod.look(LOOKS_TO_STOP)

    assert pod.is_stopped()


def test_an_idle_time_that_is_raised_to_never_keeps_the_workspace(pod: Pod, tmp_path: Path) -> None:
    file = tmp_path / "idle-seconds"
    with_an_idle_file(pod, file, str(IDLE_S))
    pod.look(LOOKS_TO_STOP - 1)
    file.write_text("0")
    pod.look(100)

    assert not pod.is_stopped()


def test_a_restarted_sidecar_begins_at_nothing(pod: Pod) -> None:
    pod.look(LOOKS_TO_STOP - 1)
    pod.attendant = pod.new_sidecar()

    pod.look(LOOKS_TO_STOP - 1)
    assert not pod.is_stopped()


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0])
def test_neither_sleep_nor_a_clock_that_jumps_stops_it_early(pod: Pod, jump_s: float) -> None:
    pod.look(3)
    pod.now += jump_s
    pod.said["started"] += jump_s

    pod.look(LOOKS_TO_STOP - 5)
    assert not pod.is_stopped()


FAULTS: dict[str, Fault] = {
    **{str(status): refusing(status) for status in (401, 403, 404, 429, 500, 503)},
    "a redirect": refusing(307),
    "hangs": hang,
    "is cut": cut,
    "is no JSON": saying(b"<html>"),
    "is another object": saying([]),
    "has no version": saying({"metadata": {}}),
    "has an empty version": saying({"metadata": {"resourceVersion": ""}}),
    "has a version that is no text": saying({"metadata": {"resourceVersion": 100}}),
    "is deep": saying(b"[" * 100_000),
    "is long": saying(b" " * 300_000 + b"{}"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_reading_that_fails_stops_nothing_and_is_tried_again(pod: Pod, fault: Fault) -> None:
    """At the first reading, and at the one that would have been followed by the stop."""
    pod.cluster.faults = [fault]
    pod.look(LOOKS_TO_STOP)
    assert not pod.is_stopped()

    pod.look(LOOKS_TO_STOP - 1)
    pod.cluster.faults = [fault]
    pod.used()
    pod.look(LOOKS_TO_STOP * 3)
    assert pod.is_stopped()


@pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500, 504])
def test_a_stop_that_is_refused_is_tried_again_from_the_beginning(pod: Pod, status: int) -> None:
    pod.look(LOOKS_TO_STOP - 1)
    pod.cluster.faults = [saying({"metadata": {"resourceVersion": "100"}}), refusing(status)]
    pod.look()
    assert not pod.is_stopped()

    asked = len(pod.cluster.log)
    pod.look(4)
    assert pod.cluster.log[asked:].count("PATCH") == 1
    assert pod.is_stopped()


def test_a_stop_whose_answer_was_lost_is_not_repeated(pod: Pod) -> None:
    """The version that the stop itself made is another one: somebody who came back since is not stopped by a repetition."""
    pod.look(LOOKS_TO_STOP - 1)

    def apply_and_cut(api: Any) -> None:
        api.apply({"metadata": {}, "spec": {"replicas": 0}})
        cut(api)

    pod.cluster.faults = [saying({"metadata": {"resourceVersion": "100"}}), apply_and_cut]
    pod.look()
    pod.cluster.replicas = 1

    pod.look(LOOKS_TO_STOP - 1)
    assert not pod.is_stopped()


def test_an_api_server_that_fails_for_long_is_asked_ever_more_seldom(pod: Pod) -> None:
    pod.cluster.faults = [refusing(503)] * 1000

    pod.look(3600 // POLL_S)

    assert not pod.is_stopped()
    in_steps_of_five_minutes = 3600 // 300
    assert 5 < pod.cluster.log.count("GET") < in_steps_of_five_minutes + 8


def test_a_pod_that_lives_on_after_its_stop_was_taken_is_watched_on(pod: Pod) -> None:
    """Source: whoever scales up before the Deployment's controller has seen the 0 keeps this very pod."""
    pod.look(LOOKS_TO_STOP)
    assert pod.is_stopped()

    pod.cluster.replicas, pod.cluster.version = 1, 200
    pod.look(LOOKS_TO_STOP - 2)
    assert not pod.is_stopped()
    pod.look(2)
    assert pod.is_stopped()


def test_a_rotated_token_and_a_renewed_ca_are_taken_up(pod: Pod, tmp_path: Path) -> None:
    watched = deployment(pod)
    assert watched.version() == "100"

    (tmp_path / "token").write_text("second-token\n")
    assert watched.version() == "100"
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(ClusterFailed):
        watched.version()


def test_an_api_server_of_another_ca_gets_no_token(pod: Pod, tmp_path: Path) -> None:
    write_certificates(tmp_path)

    pod.look(LOOKS_TO_STOP * 2)

    assert set(pod.cluster.log) == {"look"}


def deployment(pod: Pod) -> Deployment:
    return own_deployment(parse_options(pod.arguments, {}), pod.cluster.environ)
