"""What the sidecar is told, and that it reads it as it is meant."""

from __future__ import annotations

import json

from lifecycle_sidecar.observation import read_activity
from lifecycle_sidecar.tests.peers import activity as serving

from mcp_server.activity import Activity, Counted
from mcp_server.tests.harness import RunningServer


def test_counts_of_several_rooms_are_added_up() -> None:
    activity = Activity()
    activity.count("deployments", lambda: 2)
    activity.count("deployments", lambda: 1)
    activity.count("kept", lambda: 1)

    said = activity.report()

    assert said["running"] == {"deployments": 3, "backtests": 0}
    assert said["kept"] == 1


def test_the_sidecar_reads_what_the_server_says(server: RunningServer) -> None:
    quiet = read_activity(server.activity_url)

    assert quiet is not None
    assert not quiet.busy


def test_the_sidecar_sees_backtests_and_kept_deployments() -> None:
    kinds: tuple[Counted, ...] = ("backtests", "kept")
    for what in kinds:
        activity = Activity()
        activity.count(what, lambda: 1)
        with serving(lambda _: json.loads(json.dumps(activity.report()))) as url:  # noqa: B023 - asked before the next
            seen = read_activity(url)

        assert seen is not None
        assert seen.busy
