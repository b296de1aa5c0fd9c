"""What every backend must do, tried on each module of `provisioning/backends/` with the project's own workspace server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pytest_django.fixtures import Settings

from provisioning import tokens
from provisioning.backends import Backend, Instance, Spec, backends
from provisioning.backends._kubernetes import starting
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed, node_bed
from provisioning.tests.notes import Notes

SPEC = Spec(name=workspace_name("demo-pro"), user_id="demo-pro", tier="pro", idle_s=0)
NONE = Instance()
Deafen = Callable[[Instance], None]


@pytest.fixture(params=sorted(backends()))
def backend(request: pytest.FixtureRequest, data_dir: Path, settings: Settings) -> Backend:
    """Each backend: the processes with the project's own server, a cluster with one that answers in its place."""
    if request.param == "kubernetes":
        request.getfixturevalue("bed")
    settings.PROVISIONER = request.param
    return backends()[request.param]


@pytest.fixture(params=sorted(backends()))
async def keeping(
    request: pytest.FixtureRequest, data_dir: Path, tmp_path: Path, settings: Settings
) -> AsyncIterator[Backend]:
    """Each backend with the project's own server: the cluster's node runs it as a process too."""
    settings.PROVISIONER = request.param
    found = backends()[request.param]
    with node_bed(tmp_path, settings) if request.param == "kubernetes" else nullcontext():
        yield found
        await found.close()


@pytest.fixture
def deafen(request: pytest.FixtureRequest, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Deafen:
    """Has an instance of a cluster answer nobody from now on; a process is replaced in any case."""
    if backend.name != "kubernetes":
        return lambda _instance: None
    monkeypatch.setattr(starting, "DEAF_S", 0.2)
    bed: Bed = request.getfixturevalue("bed")
    return lambda instance: bed.deaf.add(str(instance.facts["pod"]))


async def started(backend: Backend, spec: Spec = SPEC, *, former: Instance = NONE) -> Instance:
    notes = Notes()
    return await backend.start(spec, former=former, report=notes.report, record=notes.record)


async def test_a_started_workspace_serves_its_user_and_nobody_else(backend: Backend) -> None:
    instance = await started(backend)

    assert backend.alive(instance)
    assert await backend.serves("demo-pro", instance)
    assert not await backend.serves("demo-free", instance)
    await backend.stop(SPEC.name)


async def test_a_start_tells_its_stages_and_records_the_instance_early_and_late(backend: Backend) -> None:
    notes = Notes()
    instance = await backend.start(SPEC, former=NONE, report=notes.report, record=notes.record)

    assert notes.stages[0] == "queued"
    assert notes.stages[-1] == "starting"
    assert notes.instances[0] == Instance()
    assert len(notes.instances) >= 3
    assert notes.instances[-1] == instance
    await backend.stop(SPEC.name)


async def test_a_stopped_workspace_is_gone_and_may_be_stopped_again(backend: Backend) -> None:
    instance = await started(backend)
    await backend.stop(SPEC.name)
    await backend.stop(SPEC.name)

    assert not backend.alive(instance)
    assert not await backend.serves("demo-pro", instance)


async def test_a_start_replaces_the_instance_that_was_found_not_to_serve(backend: Backend, deafen: Deafen) -> None:
    first = await started(backend)
    deafen(first)
    second = await started(backend, former=first)

    assert not backend.alive(first)
    assert backend.alive(second)
    await backend.stop(SPEC.name)


async def test_what_record_raises_ends_the_start_and_what_was_started(backend: Backend) -> None:
    seen: list[Instance] = []

    async def refuse(instance: Instance) -> None:
        if instance.facts:
            seen.append(instance)
            raise LookupError

    async def report(stage: str, *, detail: str = "") -> None:
        pass

    with pytest.raises(LookupError):
        await backend.start(SPEC, former=NONE, report=report, record=refuse)

    assert not backend.alive(seen[0])


async def test_a_start_that_was_overtaken_does_not_touch_the_newer_instance(backend: Backend) -> None:
    """Source: a process whose claim is lost may learn of it at its next record only."""
    newer: list[Instance] = []

    async def report(stage: str, *, detail: str = "") -> None:
        if stage != "queued" and not newer:
            newer.append(await started(backend))

    async def refuse(instance: Instance) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await backend.start(SPEC, former=NONE, report=report, record=refuse)

    assert backend.alive(newer[0])
    assert await backend.serves("demo-pro", newer[0])
    await backend.stop(SPEC.name)


async def test_a_cancelled_start_leaves_nothing_running(backend: Backend) -> None:
    begun = asyncio.Event()
    notes = Notes()

    async def record(instance: Instance) -> None:
        await notes.record(instance)
        if instance.facts:
            begun.set()

    start = asyncio.create_task(backend.start(SPEC, former=NONE, report=notes.report, record=record))
    await begun.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert not backend.alive(notes.instances[-1])


async def test_data_outlast_a_stop_and_a_removal_without_them(keeping: Backend) -> None:
    """Source: a volume is deleted when somebody asks for that, by an account that may; the gateway's own may not."""
    async with Notebook(keeping) as notebook:
        await notebook.call("remember", content="prefers weekly charts")
    async with Notebook(keeping) as notebook:
        assert "weekly" in await notebook.call("list_memories")

    await keeping.remove(SPEC.name, with_data=False)
    async with Notebook(keeping) as notebook:
        assert "weekly" in await notebook.call("list_memories")
    if keeping.name == "kubernetes":
        with pytest.raises(WorkspaceFailed) as refused:
            await keeping.remove(SPEC.name, with_data=True)
        assert refused.value.cause == Cause.FORBIDDEN
        return
    assert await keeping.remove(SPEC.name, with_data=True)
    assert not await keeping.remove(SPEC.name, with_data=True)
    async with Notebook(keeping) as notebook:
        assert "weekly" not in await notebook.call("list_memories")


async def test_an_unknown_instance_is_not_alive(backend: Backend) -> None:
    assert not backend.alive(Instance())
    assert not await backend.serves("demo-pro", Instance())


async def test_a_heartbeat_for_workspaces_that_are_not_there_is_no_error(backend: Backend) -> None:
    await backend.heartbeat([workspace_name("stranger")])


async def test_two_users_workspaces_are_apart(backend: Backend) -> None:
    free = replace(SPEC, name=workspace_name("demo-free"), user_id="demo-free", tier="free")
    instances = await asyncio.gather(started(backend), started(backend, free))
    await backend.stop(SPEC.name)

    assert [backend.alive(instance) for instance in instances] == [False, True]
    await backend.stop(free.name)


async def test_whoever_wants_a_running_instance_keeps_it(backend: Backend) -> None:
    instance = await started(backend)

    assert await backend.want(SPEC, instance)
    await backend.stop(SPEC.name)
    assert not await backend.want(SPEC, instance)


async def test_what_is_removed_may_be_started_again(backend: Backend) -> None:
    await started(backend)
    await backend.stop(SPEC.name)
    await backend.remove(SPEC.name, with_data=False)

    assert backend.alive(await started(backend))
    await backend.stop(SPEC.name)


class Notebook:
    """Tool calls to the user's workspace, running inside the block."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __aenter__(self) -> "Notebook":
        self._instance = await started(self._backend)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._backend.stop(SPEC.name)

    async def call(self, tool: str, **arguments: object) -> str:
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {
            "Authorization": f"Bearer {tokens.workspace_token('demo-pro')}",
            "Accept": "application/json, text/event-stream",
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(self._instance.url, json=request, headers=headers)
        assert answer.status_code == 200
        assert '"isError":true' not in answer.text
        return answer.text
