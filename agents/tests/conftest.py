"""Fixtures of the agent's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from accounts.licences import Licence, LicenceChange, active_licence, set_licence
from agents import harness
from agents.tests.doubles.workspace import running_workspace
from agents.tests.engine import ScriptedBrain, TestWorker
from agents.tests.licences import licence
from agents.tests.talks import CATALOGUE, USER, Talk
from gateway.testing.forking import Zygote


@cache
def _signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")


@pytest.fixture
def signing_key(settings: Any, data_dir: object) -> str:
    """The gateway's key for workspace tokens, set for the test."""
    settings.WORKSPACE_SIGNING_KEY = _signing_key()
    return _signing_key()


@pytest.fixture(scope="module")
def workspace_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's workspace has its data."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def workspace(settings: Any, signing_key: str, lasting_workspace: str) -> Licence:
    """A licence whose workspace runs, with what the module's tests have left in it."""
    settings.MCP_SERVER_URL_ALLOWLIST = [lasting_workspace]
    return licence(USER, url=f"{lasting_workspace}/mcp")


@pytest.fixture(scope="module")
def lasting_workspace(workspace_folder: Path, workspaces: Zygote) -> Iterator[str]:
    """The address of demo-pro's workspace, which runs as long as the module's tests."""
    public = load_pem_private_key(_signing_key().encode(), None).public_key()
    public_key = workspace_folder / "public.pem"
    public_key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with running_workspace(workspace_folder, user=USER, public_key=public_key, zygote=workspaces) as url:
        yield url


@pytest.fixture
async def mine(
    lasting_workspace: str, settings: Any, signing_key: str, users: dict[str, str], pool: None
) -> AsyncIterator[Licence]:
    """demo-pro's licence, whose workspace is the lasting one."""
    settings.MCP_SERVER_URL_ALLOWLIST = [lasting_workspace]
    await sync_to_async(set_licence)(USER, LicenceChange(mcp_server_url=f"{lasting_workspace}/mcp"))
    yield await active_licence(USER)
    await harness.close()


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Close the agent's connections after the test, and look that none of its tasks is left."""
    yield
    await harness.close()
    others = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not [name for name in others if "mcp" in name or "build" in name]


@pytest.fixture
def talk(workspace: Licence, nothing_left: None) -> Talk:
    """A new conversation in a workspace that runs."""
    return Talk(workspace)


@pytest.fixture
def models(settings: Any, tmp_path: Path) -> None:
    """Three models at two vendors are all that there are."""
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE)
    settings.MODEL_CATALOGUE = str(path)


@pytest.fixture
def brain() -> ScriptedBrain:
    return ScriptedBrain()


@pytest.fixture
async def worker(brain: ScriptedBrain, users: dict[str, str], pool: None) -> TestWorker:
    return await TestWorker(brain).begin()
