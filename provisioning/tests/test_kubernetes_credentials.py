"""How a gateway outside of the cluster proves who it is, over TLS."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning.backends import kubernetes
from provisioning.names import workspace_name
from provisioning.tests.bed import bed
from provisioning.tests.cluster import Cluster
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
    with bed(tmp_path, settings, tls=True) as made:
        bind(made.cluster)
        settings.KUBECONFIG = str(made.served.kubeconfig_by_certificate(USER, ["dexorder"]))
        await ensure_workspace(pro)
        ready = made.ready(NAME)
        await stop_workspace("demo-pro")
        await kubernetes.BACKEND.close()

        assert len(ready) == 1
        assert made.replicas(NAME) == 0
        assert {call.user for call in made.cluster.journal.calls} == {USER}
