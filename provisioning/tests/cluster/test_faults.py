"""Faults on the way, the log of calls, and the server's own face."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from kubernetes.aio import client

from provisioning.tests.cluster import Cluster, Fault, Gate, Served, served, statuses
from provisioning.tests.cluster.conftest import client_for
from provisioning.tests.cluster.examples import config_map, deployment
from provisioning.tests.cluster.wire import CONFIG_MAPS, DEPLOYMENTS, Wire, access_to


def test_a_refusal_meets_the_requests_it_is_meant_for_as_often_as_it_says(cluster: Cluster, wire: Wire) -> None:
    """Source: conventions, "429: the recommended time to wait is in Retry-After and in details.retryAfterSeconds"."""
    cluster.faults.add(Fault(verb="create", resource="configmaps", times=2, refusal=statuses.too_many_requests(3)))
    listed = wire.send("GET", CONFIG_MAPS)
    answers = [wire.send("POST", CONFIG_MAPS, config_map()) for _ in range(3)]

    assert listed.status_code == 200
    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "3"
    assert answers[0].json()["details"]["retryAfterSeconds"] == 3


def test_a_cut_before_stores_nothing_and_a_cut_after_has_stored(cluster: Cluster, wire: Wire) -> None:
    for fault in (Fault(verb="create", drop=True), Fault(verb="create", drop_after=True)):
        cluster.faults.add(fault)
    stored = []
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            wire.send("POST", CONFIG_MAPS, config_map())
        stored.append(cluster.names("configmaps"))

    assert stored == [[], ["settings"]]


def test_gates_hold_a_request_before_and_after_it_is_carried_out(cluster: Cluster, wire: Wire) -> None:
    before, after = Gate(), Gate()
    cluster.faults.add(Fault(verb="create", gate=before, gate_after=after))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(wire.send, "POST", CONFIG_MAPS, config_map())
        assert before.reached.wait(60)
        held = cluster.names("configmaps")
        before.open()
        assert after.reached.wait(60)
        done = (cluster.names("configmaps"), answer.done())
        after.open()

    assert (held, done) == ([], (["settings"], False))
    assert answer.result().status_code == 201


def test_the_journal_counts_calls_by_verb_and_resource(cluster: Cluster, wire: Wire) -> None:
    wire.apply(f"{DEPLOYMENTS}/web", deployment(), "gateway")
    wire.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}})
    wire.get(DEPLOYMENTS)
    list_call = cluster.journal.of(verb="list")[0]

    assert cluster.journal.counted() == {"patch deployments": 1, "patch deployments/scale": 1, "list deployments": 1}
    assert len(cluster.journal.writes()) == 2
    assert (list_call.code, list_call.user, list_call.agent) == (200, "kubernetes-admin", "wire/1")
    assert list_call.answer_bytes > 500


async def test_the_real_client_works_over_tls_and_reads_refusals(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create(deployment())
    with served(cluster, tmp_path, tls=True) as api:
        async with await client_for(api) as kube:
            apps = client.AppsV1Api(kube)
            await apps.read_namespaced_deployment("web", "workspaces")
            with pytest.raises(client.ApiException) as refused:
                await apps.read_namespaced_deployment("none", "workspaces")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await asyncio.to_thread(httpx.get, f"{api.url}/version", trust_env=False)

    assert (refused.value.status, refused.value.reason) == (404, "Not Found")


async def test_the_real_client_finds_groups_and_version(kube: client.ApiClient) -> None:
    groups = await client.ApisApi(kube).get_api_versions()
    version = await client.VersionApi(kube).get_code()

    assert "apps" in [group.name for group in groups.groups]
    assert (version.major, version.minor) == ("1", "34")


def test_the_clock_may_be_the_machines_own(tmp_path: Path) -> None:
    """A plan's seconds are seconds then."""
    cluster = Cluster(virtual=False)
    with served(cluster, tmp_path) as api:
        wire = Wire(access_to(api))
        wire.send("POST", DEPLOYMENTS, deployment())
        for event in wire.watch(DEPLOYMENTS):
            if event["object"].get("status", {}).get("availableReplicas"):
                break
        wire.close()

    assert len(cluster.pods_of("web")) == 1


def test_who_says_nothing_is_nobody(api: Served) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/: 401 without a valid token."""
    answers = [httpx.get(f"{api.url}{path}", trust_env=False) for path in ("/healthz", CONFIG_MAPS)]

    assert [answer.status_code for answer in answers] == [200, 401]
