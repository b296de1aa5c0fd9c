"""A process backend of the test's own: its data and code in temporary folders, and nothing left running after it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from gateway.leases import Lease
from provisioning import holding, launching, tokens
from provisioning.backends import kubernetes, process
from provisioning.backends._kubernetes.adjusting import Adjusting
from provisioning.backends._kubernetes.demand import Demand
from provisioning.backends._process import processes
from provisioning.tests.bed import Bed
from provisioning.tests.bed import bed as cluster_bed
from provisioning.tests.gateways import licence_of
from provisioning.tests.stand_in import SERVES, write_code


@pytest.fixture
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    """A DATA_DIR of the test's own, with nothing in it: nobody signs in here."""
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def code(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose code is started: the quick stand-in, until a test writes another."""
    folder = write_code(tmp_path / "code", SERVES)
    monkeypatch.setattr(process.BACKEND, "code_dir", folder)
    return folder


@pytest.fixture(autouse=True)
def _development(settings: Settings) -> None:
    """The signing key is made in DATA_DIR only in development, which Django's test runner turns off."""
    settings.DEBUG = True


@pytest.fixture(autouse=True)
def _nothing_stays(data_dir: Path) -> Iterator[None]:
    yield
    launching.forget_all()
    tokens.forget_tokens()
    holding.hold_with(None)
    for folder in (data_dir / "workspaces").glob("*"):
        left = processes.started_with(f"--data={folder / 'data'}")
        asyncio.run(processes.end(left, grace_s=0.2))
    asyncio.run(process.BACKEND.heartbeat([]))


@pytest.fixture
def pro(db: None) -> Licence:
    """The licence of demo-pro."""
    return licence_of("demo-pro")


@pytest.fixture
async def lease(pool: None) -> AsyncIterator[Lease]:
    """The lease of this process, which owns what it starts."""
    lease = Lease("test")
    await asyncio.to_thread(lease.acquire)
    holding.hold_with(lease)
    yield lease
    holding.hold_with(None)
    await asyncio.to_thread(lease.release)


@pytest.fixture
async def bed(
    tmp_path: Path, settings: Settings, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bed]:
    """A cluster, which PROVISIONER=kubernetes means in this test; nothing is known of it yet."""
    monkeypatch.setattr(kubernetes.BACKEND, "adjusting", Adjusting())
    monkeypatch.setattr(kubernetes.BACKEND, "demand", Demand())
    with cluster_bed(tmp_path, settings) as made:
        yield made
        await kubernetes.BACKEND.close()
