"""Credentials that end while the gateway runs. Source: tokens of clouds last for minutes, those of pods for an hour."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import incluster_config
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from accounts.licences import Licence
from provisioning import launching
from provisioning.backends._kubernetes import access, credentials
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.kinds import PODS
from provisioning.backends.kubernetes import BACKEND
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import GATEWAY, Bed
from provisioning.tests.bed import bed as cluster_bed
from provisioning.tests.gateways import until
from provisioning.tests.test_kubernetes_credentials import USER, bind
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")
ENDED, FAR = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@dataclass
class Plugin:
    """A credential plugin that prints what `answer` holds after what `before` does, and notes its runs."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "plugin.sh"

    @property
    def runs(self) -> int:
        noted = self.folder / "runs"
        return len(noted.read_text().splitlines()) if noted.exists() else 0

    def gives(self, *, before: str = "", **status: str) -> None:
        """What it does from now on."""
        answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        script = f"#!/bin/sh\necho $$ >> {self.folder}/runs\n{before}\ncat {self.folder}/answer\n"
        (self.folder / "answer").write_text(json.dumps(answer))
        # A shell reads its script as it goes.
        new = self.path.with_suffix(".new")
        new.write_text(script)
        new.chmod(0o755)
        new.replace(self.path)

    @property
    def hangs(self) -> bool:
        """Whether a run of it is still there."""
        return any(Path(f"/proc/{pid}").exists() for pid in (self.folder / "runs").read_text().split())


def token(made: Bed, *, lasting_s: float = 10**9) -> str:
    return made.cluster.identities.issue("dexorder", GATEWAY, lasting_s=lasting_s)


def kubeconfig_of(settings: Settings, user: dict[str, Any], *, name: str = "kubeconfig") -> None:
    """The same cluster for another way to prove who one is."""
    path = Path(settings.KUBECONFIG)
    tree = yaml.safe_load(path.read_text())
    tree["users"][0]["user"] = user
    settings.KUBECONFIG = str(path.with_name(name))
    Path(settings.KUBECONFIG).write_text(yaml.safe_dump(tree))


def let_it_end(made: Bed) -> None:
    """The tokens of ten minutes have ended, and nothing that this process knows spares it a call."""
    made.cluster.advance(700)
    launching.forget_all()
    BACKEND.demand._written.clear()


@pytest.fixture
def plugin(bed: Bed, settings: Settings, tmp_path: Path) -> Plugin:
    """The way in of this test's gateway, by a command that stands beside the kubeconfig."""
    made = Plugin(Path(settings.KUBECONFIG).parent)
    version = "client.authentication.k8s.io/v1"
    kubeconfig_of(settings, {"exec": {"apiVersion": version, "command": "./plugin.sh", "interactiveMode": "Never"}})
    return made


@pytest.mark.parametrize("told", [{}, {"expirationTimestamp": FAR}, {"expirationTimestamp": ENDED}])
async def test_a_token_of_a_plugin_that_has_ended_is_replaced(
    told: dict[str, str], bed: Bed, plugin: Plugin, pro: Licence
) -> None:
    """Source: the plugins of EKS, GKE and AKS; not all say when their token ends, and clocks differ."""
    plugin.gives(token=token(bed, lasting_s=600), **told)
    await ensure_workspace(pro)
    plugin.gives(token=token(bed))
    let_it_end(bed)
    await ensure_workspace(pro)
    found = await cluster()
    await until(lambda: stands(bed))

    assert found.failure is None
    assert 2 <= plugin.runs <= 4


async def test_a_hundred_calls_that_are_refused_ask_the_plugin_once(bed: Bed, plugin: Plugin, pro: Licence) -> None:
    plugin.gives(token=token(bed, lasting_s=600))
    found = await cluster()
    plugin.gives(token=token(bed))
    bed.cluster.advance(700)
    kinds = list(found.shelves)
    pages = [anext(found.api.pages(kinds[number % 6], query={})) for number in range(100)]
    await asyncio.gather(*pages)

    assert plugin.runs == 2


async def test_a_plugin_that_hangs_holds_up_nobody_whose_token_is_good(
    bed: Bed, plugin: Plugin, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "AGAIN_S", 0.0)
    plugin.gives(token=token(bed, lasting_s=600), expirationTimestamp=ENDED)
    first = await cluster()
    plugin.gives(before=f"touch {plugin.folder}/hung; sleep 600", token=token(bed))
    await ensure_workspace(pro)
    await until(lambda: has_hung(plugin))
    await stop_workspace("demo-pro")
    await BACKEND.close()

    assert first.failure is None
    assert not plugin.hangs


async def test_a_plugin_that_hangs_is_given_up_and_its_user_told_why_they_wait(
    bed: Bed, plugin: Plugin, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.gives(token=token(bed, lasting_s=600))
    await ensure_workspace(pro)
    plugin.gives(before="sleep 600 & wait", token=token(bed))
    monkeypatch.setattr(credentials, "READ_S", 0.5)
    let_it_end(bed)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.UNKNOWN_TO_CLUSTER
    assert "lacks a right" not in failure.value.detail
    await until(lambda: has_gone(plugin))


@pytest.mark.parametrize(
    ("before", "status", "words"),
    [
        ("echo no network >&2; exit 3", {"token": "x"}, "ended with 3: no network"),
        ("", {"token": "two\nlines"}, "line breaks"),
        ("", {"token": ""}, "neither a token nor a certificate"),
        ("", {"token": "s3cret", "expirationTimestamp": "soon"}, "status.expirationTimestamp"),
        ("echo s3cret", {"token": "x"}, "no ExecCredential"),
    ],
)
async def test_a_plugin_that_fails_is_told_to_the_operator_without_what_it_gave(
    before: str, status: dict[str, str], words: str, bed: Bed, plugin: Plugin, pro: Licence
) -> None:
    plugin.gives(before=before, **status)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NOT_INSTALLED
    assert words in failure.value.detail
    assert "s3cret" not in failure.value.detail


async def test_a_token_in_a_file_is_read_anew(bed: Bed, pro: Licence, settings: Settings, tmp_path: Path) -> None:
    """Source: a projected token is replaced in its file before it ends; nobody says when."""
    file = tmp_path / "token"
    file.write_text(token(bed, lasting_s=600))
    kubeconfig_of(settings, {"tokenFile": str(file)})
    await ensure_workspace(pro)
    # As an editor ends a file.
    file.write_text(f"{token(bed)}\n")
    let_it_end(bed)

    assert (await ensure_workspace(pro)).url


async def test_a_token_in_a_file_is_read_anew_before_it_is_refused(
    bed: Bed, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: https://github.com/kubernetes/client-go/blob/v0.34.0/transport/token_source.go"""
    monkeypatch.setattr(credentials, "FILE_S", -1.0)
    monkeypatch.setattr(access, "AGAIN_S", 0.0)
    file = tmp_path / "token"
    file.write_text(token(bed))
    kubeconfig_of(settings, {"tokenFile": str(file)})
    found = await cluster()
    file.write_text(token(bed))

    async def is_renewed() -> bool:
        await anext(found.api.pages(PODS, query={}))
        return "kubernetes_credentials_renewed" in [log["event"] for log in logs]

    with capture_logs() as logs:
        await until(is_renewed)


@pytest.fixture
def secure(tmp_path: Path, settings: Settings, data_dir: Path) -> Iterator[Bed]:
    """A cluster with TLS."""
    with cluster_bed(tmp_path, settings, tls=True) as made:
        yield made


async def test_the_pods_own_token_is_read_anew(
    secure: Bed, settings: Settings, pro: Licence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken"""
    file = tmp_path / "own-token"
    file.write_text(token(secure, lasting_s=600))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(file))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", secure.served.ca_file)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(secure.served.port))
    settings.KUBECONFIG = ""
    await ensure_workspace(pro)
    file.write_text(token(secure))
    let_it_end(secure)
    await ensure_workspace(pro)
    await BACKEND.close()

    assert secure.ready(NAME)


async def test_a_certificate_of_a_plugin_takes_the_place_of_one_that_is_refused(
    secure: Bed, settings: Settings, pro: Licence
) -> None:
    """What is under way goes on with the connections that there are."""
    bind(secure.cluster)
    assert secure.served.certificates is not None
    made = Plugin(Path(settings.KUBECONFIG).parent)
    made.gives(token=token(secure, lasting_s=600))
    kubeconfig_of(settings, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(made.path)}})
    await ensure_workspace(pro)
    certificate, key = (part.decode() for part in secure.served.certificates.of_client(USER, ["dexorder"]))
    made.gives(clientCertificateData=certificate, clientKeyData=key)
    let_it_end(secure)
    secure.cluster.journal.clear()
    await ensure_workspace(pro)
    await BACKEND.close()

    assert USER in {call.user for call in secure.cluster.journal.calls if call.code == 200}


async def stands(bed: Bed) -> bool:
    """Whether each kind is watched."""
    return len({watch.kind for watch in bed.cluster.watches}) == 6


async def has_hung(plugin: Plugin) -> bool:
    return (plugin.folder / "hung").exists()


async def has_gone(plugin: Plugin) -> bool:
    return not plugin.hangs
