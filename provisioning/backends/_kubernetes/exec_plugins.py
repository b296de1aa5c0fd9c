"""Credential plugins of a kubeconfig: a program of a cloud or an identity provider that prints a token or a certificate.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from provisioning.backends._kubernetes.templates import Tree

CONFIG_EXTENSION = "client.authentication.k8s.io/exec"
# Of what a plugin prints when it fails: enough for its last words.
MOST_WORDS = 500
# What is killed is gone at once, unless the kernel holds it.
GONE_S = 1.0


class PluginFailed(Exception):
    """The plugin has not given credentials; what it said is for the operator."""


class _Variable(BaseModel):
    name: str
    value: str


class Plugin(BaseModel):
    """What a kubeconfig says of its plugin."""

    api_version: Annotated[str, Field(alias="apiVersion")]
    command: Annotated[str, Field(min_length=1)]
    args: list[str] | None = None
    env: list[_Variable] | None = None
    provide_cluster_info: Annotated[bool, Field(alias="provideClusterInfo")] = False


class Credential(BaseModel):
    """What a plugin gives: a token, or a certificate with its key, and until when it is good."""

    token: str | None = None
    certificate: Annotated[str | None, Field(alias="clientCertificateData")] = None
    key: Annotated[str | None, Field(alias="clientKeyData")] = None
    expires: Annotated[AwareDatetime | None, Field(alias="expirationTimestamp")] = None


class _Answer(BaseModel):
    kind: Literal["ExecCredential"]
    api_version: Annotated[str, Field(alias="apiVersion")]
    status: Credential


async def credential_of(given: Tree, *, cluster: Tree, folder: Path) -> Credential:
    """What the plugin gives; `folder` is the kubeconfig's, where a relative command is looked for.

    Ends the plugin, and what it has started, when cancelled. Raises PluginFailed.
    """
    try:
        plugin = Plugin.model_validate(given)
    except ValidationError as error:
        raise PluginFailed(f"The kubeconfig's exec is wrong at {_where(error)}") from error
    command = str(folder / plugin.command) if os.sep in plugin.command else plugin.command
    variables = {variable.name: variable.value for variable in plugin.env or []}
    told = {"KUBERNETES_EXEC_INFO": json.dumps(_info(plugin, cluster))}
    printed = await _run([command, *(plugin.args or [])], os.environ | variables | told)
    try:
        answer = _Answer.model_validate_json(printed)
    except ValidationError as error:
        # Never with what it printed, which may be a secret.
        raise PluginFailed(f"The plugin {plugin.command} gave no ExecCredential: wrong at {_where(error)}") from error
    found = answer.status
    if answer.api_version != plugin.api_version:
        raise PluginFailed(f"The plugin {plugin.command} answered in {answer.api_version}, not {plugin.api_version}")
    if not found.token and not (found.certificate and found.key):
        raise PluginFailed(f"The plugin {plugin.command} gave neither a token nor a certificate with its key")
    return found


async def _run(command: list[str], environment: dict[str, str]) -> bytes:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise PluginFailed(f"The plugin {command[0]} can't be started: {error}") from error
    try:
        printed, said = await process.communicate()
    except BaseException:
        await _kill(process)
        raise
    if process.returncode:
        words = said.decode("utf-8", "replace").strip()[-MOST_WORDS:]
        raise PluginFailed(f"The plugin {command[0]} ended with {process.returncode}: {words}")
    return printed


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the process and what it has started, which is in a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GONE_S)


def _info(plugin: Plugin, cluster: Tree) -> Tree:
    spec: Tree = {"interactive": False}
    if plugin.provide_cluster_info:
        known = {key: value for key, value in cluster.items() if key != "extensions"}
        named = [each for each in cluster.get("extensions") or [] if each.get("name") == CONFIG_EXTENSION]
        spec["cluster"] = known | ({"config": named[0].get("extension")} if named else {})
    return {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}


def _where(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
