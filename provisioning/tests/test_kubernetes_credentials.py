"""How a gateway outside of the cluster proves who it is, over TLS."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from accounts.licences import Licence
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes import following
from provisioning.backends._kubernetes.manifests import KEYS
from provisioning.backends.kubernetes import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.bed import bed as cluster_bed
from provisioning.tests.cluster import Cluster
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
USER = "dexorder-gateway-outside"


def bind(cluster: Cluster) -> None:
    """The gateway's role is that user's too."""
    held = {"name": "outside", "namespace": cluster.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dexorder-gateway"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": held}
    cluster.create({**head, "roleRef": role, "subjects": [subject]})


async def test_a_kubeconfig_with_a_client_certificate_starts_and_stops_workspaces(
    tmp_path: Path, settings: Settings, data_dir: Path, pro: Licence
) -> None:
    """Source: what kubeadm and kind write has the certificate and its key in the file, and no token."""
    with cluster_bed(tmp_path, settings, tls=True) as made:
        bind(made.cluster)
        settings.KUBECONFIG = str(made.served.kubeconfig_by_certificate(USER, ["dexorder"]))
        await ensure_workspace(pro)
        ready = made.ready(NAME)
        await stop_workspace("demo-pro")
        await kubernetes.BACKEND.close()

        assert len(ready) == 1
        assert made.replicas(NAME) == 0
        assert {call.user for call in made.cluster.journal.calls} == {USER}


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c: [",
        "",
        "words",
        "[]",
        "clusters: 3",
        "current-context: x",
        "apiVersion: v1\nusers: [1]\n",
        "\x00",
        "{}",
    ],
)
async def test_a_kubeconfig_that_cannot_be_read_is_told_and_ends_no_service(
    text: str, bed: Bed, pro: Licence, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a file that is being written, or was edited by hand; every worker of the process would end with the watching."""
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    good, settings.KUBECONFIG = settings.KUBECONFIG, file_of(bed, text)
    following_it = asyncio.create_task(BACKEND.follow())
    with capture_logs() as logs, pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)
    settings.KUBECONFIG = good
    await until(lambda: published(bed))
    following_it.cancel()
    await asyncio.wait([following_it])

    assert failure.value.cause == Cause.NOT_INSTALLED
    assert [log["event"] for log in logs if log["log_level"] == "error" and "unforeseen" in log["event"]] == []


@pytest.mark.parametrize("lacks", ["certificate-authority", "client-key"])
async def test_certificates_that_cannot_be_used_are_told(
    lacks: str, bed: Bed, pro: Licence, settings: Settings
) -> None:
    odd = file_of(bed, "no certificate")
    server = {"server": "https://127.0.0.1:1"} | ({"certificate-authority": odd} if lacks != "client-key" else {})
    user = {"client-certificate": odd, "client-key": odd} if lacks == "client-key" else {"token": "x"}
    tree = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": server}],
        "users": [{"name": "a", "user": user}],
    }
    settings.KUBECONFIG = file_of(bed, yaml.safe_dump(tree))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NOT_INSTALLED


async def test_what_nobody_foresaw_ends_no_following(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: the services of a process end together, and its turns with them."""
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    bed.cluster.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": KEYS}, "data": {"public.pem": ""}}
    )
    bed.cluster.edit("configmaps", KEYS, lambda tree: tree["data"].update({"public.pem": 3}))

    async def is_told() -> bool:
        return "kubernetes_following_broke_unforeseen" in [log["event"] for log in logs]

    with capture_logs() as logs:
        following_it = asyncio.create_task(BACKEND.follow())
        await until(is_told)
        bed.cluster.delete("configmaps", KEYS)
        await until(lambda: published(bed))
        following_it.cancel()
        await asyncio.wait([following_it])


def test_the_client_is_loaded_beside_the_event_loop(tmp_path: Path) -> None:
    """Source: it takes seconds, in which nobody would be served."""
    script = """
import asyncio, sys, threading
from django.conf import settings
settings.configure(KUBECONFIG="none")
loaded_by = []

class Seen:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("kubernetes."):
            loaded_by.append(threading.current_thread())

sys.meta_path.insert(0, Seen())
from provisioning.backends._kubernetes.connecting import connected
try:
    asyncio.run(connected())
except Exception as error:
    print(type(error).__name__)
assert loaded_by
print(threading.main_thread() in loaded_by)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.split() == ["ImproperlyConfigured", "False"]


def file_of(bed: Bed, text: str) -> str:
    """A file of the text."""
    path = bed.served.folder / f"odd-{len(list(bed.served.folder.iterdir()))}"
    path.write_text(text)
    return str(path)


async def published(bed: Bed) -> bool:
    """Whether the gateway follows its cluster."""
    return KEYS in bed.cluster.names("configmaps")
