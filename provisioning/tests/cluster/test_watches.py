"""Watches.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes, here WATCH.
"""

from typing import Any

import pytest
from kubernetes.aio import client, watch

from provisioning.tests.cluster import Cluster, Fault, Served
from provisioning.tests.cluster.examples import config_map, deployment
from provisioning.tests.cluster.wire import CONFIG_MAPS, DEPLOYMENTS, Wire


def seen(event: Any) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


def labelled(name: str, **labels: str) -> Any:
    tree = config_map(name)
    tree["metadata"]["labels"] = labels
    return tree


@pytest.mark.any_server
def test_a_watch_without_a_version_begins_with_what_is_there(wire: Wire) -> None:
    """WATCH: "Get State and Start at Any"; then each change in its order."""
    wire.send("POST", CONFIG_MAPS, labelled("old", of="watch"))
    events = wire.watch(CONFIG_MAPS, labelSelector="of=watch")
    first = seen(next(events))
    wire.send("POST", CONFIG_MAPS, labelled("new", of="watch"))
    wire.patch(f"{CONFIG_MAPS}/new", {"data": {"a": "b"}})
    wire.send("DELETE", f"{CONFIG_MAPS}/old")

    assert first == ("ADDED", "old")
    assert [seen(next(events)) for _ in range(3)] == [("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "old")]


@pytest.mark.any_server
def test_a_watch_goes_on_from_the_version_of_a_list(wire: Wire) -> None:
    """WATCH: "starting a watch at the resource version of a list, you receive every change after it"."""
    wire.send("POST", CONFIG_MAPS, config_map("old"))
    version = wire.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    wire.send("POST", CONFIG_MAPS, config_map("missed"))

    assert seen(next(wire.watch(CONFIG_MAPS, resourceVersion=version))) == ("ADDED", "missed")


@pytest.mark.any_server
def test_a_watch_with_a_selector_sees_objects_come_and_go(wire: Wire) -> None:
    """Source: an object that no longer matches is DELETED to this watch, one that begins to is ADDED."""
    made = wire.send("POST", CONFIG_MAPS, labelled("map", tier="free")).json()
    version = made["metadata"]["resourceVersion"]
    events = wire.watch(CONFIG_MAPS, labelSelector="tier=pro", resourceVersion=version)
    for tier in ("pro", "free"):
        wire.patch(f"{CONFIG_MAPS}/map", {"metadata": {"labels": {"tier": tier}}})
    wire.send("POST", CONFIG_MAPS, labelled("other", tier="pro"))

    assert [seen(next(events)) for _ in range(3)] == [("ADDED", "map"), ("DELETED", "map"), ("ADDED", "other")]


def test_a_watch_ends_after_its_time(cluster: Cluster, wire: Wire) -> None:
    """WATCH: timeoutSeconds limits the duration of the call."""
    events = wire.watch(CONFIG_MAPS, timeoutSeconds="30")
    cluster.create(config_map())
    first = seen(next(events))
    cluster.advance(30)

    assert first == ("ADDED", "settings")
    assert list(events) == []


@pytest.mark.parametrize("over_http", [True, False])
def test_a_forgotten_version_is_gone(cluster: Cluster, wire: Wire, *, over_http: bool) -> None:
    """WATCH: "410 Gone: clear the local cache, perform a new get or list, and start the watch from there"."""
    cluster.create(config_map())
    version = str(cluster.store.version)
    cluster.create(config_map("later"))
    cluster.compact()
    cluster.refuses_old_watches = over_http
    if over_http:
        answer = wire.send("GET", CONFIG_MAPS, watch="1", resourceVersion=version)
        assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")
    else:
        event = next(wire.watch(CONFIG_MAPS, resourceVersion=version))
        assert (event["type"], event["object"]["code"], event["object"]["kind"]) == ("ERROR", 410, "Status")


def test_bookmarks_come_to_those_who_allow_them(cluster: Cluster, wire: Wire) -> None:
    """WATCH: "a BOOKMARK event … only includes a .metadata.resourceVersion field"."""
    version = str(cluster.store.version)
    events = wire.watch(DEPLOYMENTS, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds="90")
    silent = wire.watch(DEPLOYMENTS, resourceVersion=version, timeoutSeconds="90")
    cluster.create(deployment())
    assert [seen(next(each)) for each in (events, silent)] == [("ADDED", "web")] * 2
    cluster.create(config_map())
    cluster.advance(90)
    bookmarks = [event for event in events if event["type"] == "BOOKMARK"]

    assert bookmarks[0]["object"]["kind"] == "Deployment"
    assert bookmarks[0]["object"]["metadata"]["resourceVersion"] == str(cluster.store.version)
    assert "BOOKMARK" not in [event["type"] for event in silent]


def test_no_bookmarks_come_of_events(cluster: Cluster, wire: Wire) -> None:
    """Source: https://github.com/kubernetes/kubernetes/issues/131897, of events the API server keeps no watch cache."""
    version = str(cluster.store.version)
    events = wire.watch("/api/v1/namespaces/workspaces/events", resourceVersion=version, allowWatchBookmarks="true")
    about = {"kind": "Pod", "namespace": "workspaces", "name": "web"}
    cluster.create({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "told"}, "involvedObject": about})
    first = seen(next(events))
    cluster.advance(90)
    cluster.end_watches("events")

    assert first == ("ADDED", "told")
    assert list(events) == []


def test_a_streaming_list_ends_its_beginning_with_a_bookmark(cluster: Cluster, wire: Wire) -> None:
    """WATCH, Streaming lists: "the bookmark event will be annotated k8s.io/initial-events-end"."""
    cluster.create(config_map())
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    events = wire.watch(CONFIG_MAPS, **options)
    first, mark = next(events), next(events)

    assert seen(first) == ("ADDED", "settings")
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_silenced_watch_stays_open_and_an_ended_one_does_not(cluster: Cluster, wire: Wire) -> None:
    events = wire.watch(CONFIG_MAPS, timeoutSeconds="30")
    cluster.create(config_map("heard"))
    heard = seen(next(events))
    cluster.silence_watches("configmaps")
    cluster.create(config_map("unheard"))
    still_open = len(cluster.watches)
    cluster.end_watches("configmaps")

    assert heard == ("ADDED", "heard")
    assert still_open == 1
    assert list(events) == []


def test_a_watch_can_be_silent_from_the_beginning(cluster: Cluster, wire: Wire) -> None:
    """Source: a middlebox that drops a connection without a word; the client must notice by itself."""
    cluster.create(config_map())
    cluster.faults.add(Fault(verb="watch", silent=True))
    cluster.clock.call_later(1, cluster.end_watches)
    with wire.opened(CONFIG_MAPS, watch="1") as lines:
        cluster.advance(1)

        assert list(lines) == []


async def test_the_real_clients_watch_reads_it(api: Served, cluster: Cluster, kube: client.ApiClient) -> None:
    cluster.create(deployment())
    listing = client.CoreV1Api(kube).list_namespaced_pod
    stream = watch.Watch().stream(listing, "workspaces")  # type: ignore[no-untyped-call]  # of the client
    async for event in stream:
        assert (event["type"], event["object"].status.phase) == ("ADDED", "Running")
        break
    await stream.close()
