"""The backend's contract on an API server whose controllers and node are hands: a real one's where TEST_KUBECONFIG names it.

Everything that is applied here passes the server's validation and admission, by the gateway's own account and roles.
"""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_django.fixtures import Settings

from provisioning.backends import Backend, kubernetes
from provisioning.backends._kubernetes import starting
from provisioning.backends._kubernetes.templates import FOLDER
from provisioning.names import workspace_name
from provisioning.rendering import render_namespace, render_workspace
from provisioning.tests.cluster import Cluster, served
from provisioning.tests.cluster.app import Receive, Scope, Send, body_of
from provisioning.tests.cluster.hands import Hands, has_controllers
from provisioning.tests.cluster.kinds import Object, kind_of
from provisioning.tests.cluster.serving import running
from provisioning.tests.cluster.wire import CLAIMS, DEPLOYMENTS, NAMESPACE, PODS, Wire, access_to, own_namespace
from provisioning.tests.gateways import licence_of
from provisioning.tests.test_backend_contract import (  # noqa: F401 - the same contract, collected here too
    SPEC,
    Deafen,
    started,
    test_a_cancelled_start_leaves_nothing_running,
    test_a_start_replaces_the_instance_that_was_found_not_to_serve,
    test_a_start_tells_its_stages_and_records_the_instance_early_and_late,
    test_a_start_that_was_overtaken_does_not_touch_the_newer_instance,
    test_a_started_workspace_serves_its_user_and_nobody_else,
    test_a_stopped_workspace_is_gone_and_may_be_stopped_again,
    test_an_unknown_instance_is_not_alive,
    test_two_users_workspaces_are_apart,
    test_what_is_removed_may_be_started_again,
    test_what_record_raises_ends_the_start_and_what_was_started,
    test_whoever_wants_a_running_instance_keeps_it,
)

# Resizing pods in place is the newest of what the manifests ask for.
SINCE = 33
ACCOUNT = "dexorder-gateway"
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}

pytestmark = pytest.mark.any_server(since=SINCE)


@pytest.fixture
def wire(tmp_path: Path, settings: Settings, data_dir: Path, deaf: set[str]) -> Iterator[Wire]:
    """An administrator's way to a server on which workspaces may be started, by PROVISIONER=kubernetes."""
    with _server(tmp_path) as (wire, kubeconfig), _installed(wire, tmp_path, settings):
        wire.send("POST", f"{NAMESPACE}/serviceaccounts", _named("ServiceAccount", ACCOUNT))
        token = wire.send("POST", f"{NAMESPACE}/serviceaccounts/{ACCOUNT}/token", TOKEN_REQUEST).json()["status"][
            "token"
        ]
        settings.KUBECONFIG = str(_with_token(kubeconfig, token, tmp_path))
        controllers = "TEST_KUBECONFIG" in os.environ and has_controllers(wire)
        with Hands(wire, controllers=controllers), running(_Answers(wire, deaf)) as port:
            settings.WORKSPACE_ENDPOINT_TEMPLATE = f"http://127.0.0.1:{port}/{{name}}/mcp"
            yield wire


@pytest.fixture
def deaf() -> set[str]:
    """The uids of pods that answer nobody."""
    return set()


@pytest.fixture
def deafen(deaf: set[str], monkeypatch: pytest.MonkeyPatch) -> Deafen:
    """See the contract."""
    monkeypatch.setattr(starting, "DEAF_S", 0.2)
    return lambda instance: deaf.add(str(instance.facts["pod"]))


@pytest.fixture
async def backend(wire: Wire) -> AsyncIterator[Backend]:
    """The Kubernetes backend, for the contract."""
    yield kubernetes.BACKEND
    await kubernetes.BACKEND.close()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Wire, Path]]:
    """A real server's own namespace, or a bare API server of this test's, over TLS as a real one is."""
    real = os.environ.get("TEST_KUBECONFIG")
    if real:
        with own_namespace(Path(real)) as wire:
            wire.skip_before(SINCE)
            yield wire, Path(real)
        return
    with served(Cluster(virtual=False, controlled=False), folder, tls=True) as api:
        wire = Wire(access_to(api))
        yield wire, api.kubeconfig()
        wire.close()


@contextmanager
def _installed(wire: Wire, folder: Path, settings: Settings) -> Iterator[None]:
    """What an operator applies once; what belongs to the whole cluster is taken away at the end."""
    settings.PROVISIONER = "kubernetes"
    settings.KUBERNETES_NAMESPACE = wire.namespace
    settings.WORKSPACE_VALUES = str(_values(wire, folder))
    namespace, *others = render_namespace()
    labelled = wire.patch(NAMESPACE, {"metadata": {"labels": namespace["metadata"]["labels"]}})
    assert labelled.status_code == 200, labelled.text
    with ExitStack() as stack:
        for tree in (_nowhere(wire), *others):
            made = wire.send("POST", _path(tree), tree, fieldValidation="Strict")
            assert made.status_code == 201, made.text
            if not kind_of(tree).namespaced:
                stack.callback(wire.send, "DELETE", f"{_path(tree)}/{tree['metadata']['name']}")
        yield


def _values(wire: Wire, folder: Path) -> Path:
    """The shipped table, for a gateway in the same namespace and for pods that no node takes."""
    table = yaml.safe_load((FOLDER / "values.yaml").read_text())
    table["gateway_namespace"] = wire.namespace
    for tier in table["tiers"].values():
        tier["runtime_class"] = f"{wire.namespace}-nowhere"
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(table))
    return path


def _nowhere(wire: Wire) -> Object:
    """A class of pods for nodes that don't exist: https://kubernetes.io/docs/concepts/containers/runtime-class/#scheduling"""
    named = {"metadata": {"name": f"{wire.namespace}-nowhere"}}
    scheduling = {"nodeSelector": {"dexorder.io/nowhere": "true"}}
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        **named,
        "handler": "none",
        "scheduling": scheduling,
    }


def _named(kind: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _path(tree: Object) -> str:
    kind = kind_of(tree)
    group = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    return f"{group}/namespaces/workspaces/{kind.plural}" if kind.namespaced else f"{group}/{kind.plural}"


def _with_token(kubeconfig: Path, token: str, folder: Path) -> Path:
    """The same cluster for the bearer of a token."""
    tree = yaml.safe_load(kubeconfig.read_text())
    for user in tree["users"]:
        user["user"] = {"token": token}
    path = folder / "kubeconfig-of-the-gateway"
    path.write_text(yaml.safe_dump(tree))
    return path


class _Answers:
    """In the place of the users' servers: answers a workspace's user while it has a ready pod."""

    def __init__(self, wire: Wire, deaf: set[str]) -> None:
        self._wire = wire
        self._deaf = deaf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        name = scope["path"].split("/")[1]
        authorization = dict(scope["headers"])[b"authorization"].decode()
        claims = json.loads(base64.urlsafe_b64decode(authorization.split(".")[1] + "==="))
        ready = await asyncio.to_thread(self._is_ready, name)
        code = 503 if not ready else 200 if workspace_name(claims["sub"]) == name else 401
        await send({"type": "http.response.start", "status": code, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _is_ready(self, name: str) -> bool:
        for pod in self._wire.get(PODS)["items"]:
            conditions = pod.get("status", {}).get("conditions", [])
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
            here = pod["metadata"]["name"].startswith(name) and pod["metadata"]["uid"] not in self._deaf
            if here and ready and "deletionTimestamp" not in pod["metadata"]:
                return True
        return False


def _names(wire: Wire, path: str) -> list[Any]:
    return [each["metadata"]["name"] for each in wire.get(path)["items"]]


@pytest.mark.django_db
def test_every_object_passes_the_servers_strict_validation(wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation and #dry-run"""
    trees = [tree for tier in ("free", "pro", "enterprise") for tree in render_workspace(licence_of(f"demo-{tier}"))]
    answers = [wire.send("POST", _path(tree), tree, **STRICT) for tree in trees]

    assert [answer.text for answer in answers if answer.status_code != 201] == []


async def test_ten_starts_at_once_leave_one_of_each_object(backend: Backend, wire: Wire) -> None:
    """Source: DESIGN.md, Workspaces: a start is idempotent."""
    instances = await asyncio.gather(*(started(backend) for _ in range(10)))

    assert len({instance.url for instance in instances}) == 1
    assert [_names(wire, path) for path in (DEPLOYMENTS, CLAIMS)] == [[SPEC.name]] * 2
    await backend.stop(SPEC.name)


async def test_a_sidecar_may_stop_its_own_workspace_and_no_other(backend: Backend, wire: Wire) -> None:
    """Source: DESIGN.md, Workspaces: the role of all sidecars is narrowed by a ValidatingAdmissionPolicy."""
    await started(backend)
    made = wire.send("POST", f"{NAMESPACE}/serviceaccounts/{SPEC.name}/token", TOKEN_REQUEST)
    sidecar = wire.by(made.json()["status"]["token"])
    other = {**wire.get(f"{DEPLOYMENTS}/{SPEC.name}"), "metadata": {"name": "other"}}
    wire.send("POST", DEPLOYMENTS, other)
    asked = [("other", 0), (SPEC.name, 2), (SPEC.name, 0)]
    codes = [
        sidecar.patch(f"{DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": count}}).status_code for name, count in asked
    ]
    sidecar.close()

    assert codes == [422, 422, 200]
    wire.send("DELETE", f"{DEPLOYMENTS}/other")


async def test_no_other_account_of_the_namespace_may_scale_a_workspace(backend: Backend, wire: Wire) -> None:
    """Source: the sidecars' role is every account's of the namespace, so the policy must not go by what one is called."""
    await started(backend)
    wire.send("POST", f"{NAMESPACE}/serviceaccounts", _named("ServiceAccount", "called-otherwise"))
    made = wire.send("POST", f"{NAMESPACE}/serviceaccounts/called-otherwise/token", TOKEN_REQUEST)
    stranger = wire.by(made.json()["status"]["token"])
    refused = stranger.patch(f"{DEPLOYMENTS}/{SPEC.name}/scale", {"spec": {"replicas": 0}})
    stranger.close()

    assert refused.status_code == 422, refused.text
    assert wire.get(f"{DEPLOYMENTS}/{SPEC.name}")["spec"]["replicas"] == 1
    await backend.stop(SPEC.name)
