"""What a credential plugin is told, and gives.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.backends._kubernetes.exec_plugins import PluginFailed, credential_of

VERSION = "client.authentication.k8s.io/v1"
CLUSTER: dict[str, Any] = {
    "server": "https://10.0.0.1:6443",
    "certificate-authority-data": "Q0E=",
    "extensions": [
        {"name": "other", "extension": 1},
        {"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}},
    ],
}
# Gives back what it was told, as its token.
SCRIPT = """
import json, os
told = os.environ["KUBERNETES_EXEC_INFO"] + os.environ["EXTRA"]
print(json.dumps({"kind": "ExecCredential", "apiVersion": "%s", "status": {"token": told, "clientKeyData": None}}))
"""


async def told(*, cluster_info: bool, answers_in: str = VERSION) -> Any:
    """What a plugin finds in its environment."""
    given = {
        "apiVersion": VERSION,
        "command": "python3",
        "args": ["-c", SCRIPT % answers_in],
        "env": [{"name": "EXTRA", "value": " "}],
        "provideClusterInfo": cluster_info,
    }
    found = await credential_of(given, cluster=CLUSTER, folder=Path("/"))
    return json.loads(found.token or "")


async def test_a_plugin_is_told_that_nobody_is_there_to_answer_it() -> None:
    assert await told(cluster_info=False) == {
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }


async def test_a_plugin_that_wants_to_know_the_cluster_is_told() -> None:
    spec = (await told(cluster_info=True))["spec"]

    assert spec["cluster"] == {"server": CLUSTER["server"], "certificate-authority-data": "Q0E=", "config": {"a": 1}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"apiVersion": VERSION}, "exec is wrong at command"),
        ({"apiVersion": VERSION, "command": "no-such-plugin-here"}, "can't be started"),
        ({"apiVersion": VERSION, "command": "true"}, "gave no ExecCredential"),
    ],
)
async def test_a_plugin_that_is_not_there_or_says_nothing_is_told_so(given: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginFailed, match=words):
        await credential_of(given, cluster=CLUSTER, folder=Path("/"))


async def test_a_plugin_that_answers_in_another_version_is_refused() -> None:
    with pytest.raises(PluginFailed, match="answered in v0"):
        await told(cluster_info=False, answers_in="v0")
