"""One watch of one kind: what ends or breaks it, and how it goes on. Source: DESIGN, section 7, and what proxies do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from provisioning import metrics
from provisioning.backends._kubernetes import watcher
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.errors import ApiFailed, Away
from provisioning.backends._kubernetes.kinds import SERVICES, Kind
from provisioning.backends._kubernetes.manifests import WORKSPACE
from provisioning.backends._kubernetes.shelves import Shelf
from provisioning.backends._kubernetes.views import read_object
from provisioning.backends._kubernetes.watcher import Watcher

Event = dict[str, Any]
BOOKMARK: Event = {"type": "BOOKMARK", "object": {"kind": "Service", "metadata": {"resourceVersion": "9"}}}
ODD: Event = {"type": "ADDED", "object": {"kind": "Service"}}


def service(name: str, version: int) -> Event:
    metadata = {"name": name, "uid": name, "resourceVersion": str(version), "labels": {WORKSPACE: name}}
    return {"metadata": metadata}


class ScriptedApi:
    """An API server whose watches say what the script says, one after the other, and end; past its end they say nothing."""

    def __init__(self, *watches: list[Event] | ApiFailed) -> None:
        self._watches = list(watches)
        self.opened_at: list[float] = []
        self.lists = 0
        self.silent = asyncio.Event()

    async def pages(self, _kind: Kind, *, query: Mapping[str, str]) -> AsyncIterator[Event]:
        """The list."""
        assert query == {}
        self.lists += 1
        yield {"metadata": {"resourceVersion": str(self.lists)}, "items": [service("ws-a", self.lists)]}

    async def watch(
        self, _kind: Kind, *, query: Mapping[str, str], version: str, opened: Callable[[], None]
    ) -> AsyncIterator[Event]:
        """The next watch of the script."""
        assert (query, bool(version)) == ({}, True)
        opened()
        self.opened_at.append(asyncio.get_running_loop().time())
        if not self._watches:
            self.silent.set()
            await asyncio.Event().wait()
        told = self._watches.pop(0)
        if isinstance(told, ApiFailed):
            raise told
        for event in told:
            yield event


@asynccontextmanager
async def watching(api: ScriptedApi) -> AsyncIterator[Watcher]:
    """A watcher of services, running inside the block."""
    shelf = Shelf(read_object, lambda _name: None)
    made = Watcher(cast(Api, api), SERVICES, shelf=shelf, query={})
    running = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(30):
            await api.silent.wait()
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])


def broken(foreseen: str) -> float:
    value: float = metrics.WATCH_FAILURES.labels("services", foreseen)._value.get()
    return value


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "FIRST_PAUSE_S", 0.04)


async def test_a_watch_that_is_ended_at_once_is_opened_ever_more_seldom_and_told() -> None:
    """Source: a proxy in front of an API server may end what it takes for an answer without a body."""
    before = broken("yes")
    async with watching(ScriptedApi([], [], [], [])) as watched:
        [first, *others] = watched._api.opened_at  # type: ignore[attr-defined]  # the script's

        gaps = [later - earlier for earlier, later in zip([first, *others], others, strict=False)]
        # Half the pause is the least that jitter leaves of it; the event loop's clock has a resolution.
        assert [gap >= 0.02 * 2**number - 0.001 for number, gap in enumerate(gaps)] == [True] * 4
        assert watched.failure is not None
        assert "at once" in str(watched.failure)
        assert broken("yes") == before + 2


async def test_a_watch_that_ends_after_it_has_spoken_is_opened_again_without_a_word() -> None:
    before = broken("yes")
    async with watching(ScriptedApi(*([BOOKMARK] for _ in range(50)))) as watched:
        assert watched.failure is None
        assert broken("yes") == before


async def test_a_watch_that_is_asked_to_wait_does() -> None:
    """Source: Retry-After of an API server whose queues are full; longer than the pause that a watch would make by itself."""
    async with watching(ScriptedApi(Away("slow down", about="watch services", retry_after_s=0.4))) as watched:
        [first, second] = watched._api.opened_at  # type: ignore[attr-defined]  # the script's

        assert second - first >= 0.4 - 0.001


async def test_what_nobody_foresaw_is_told_and_the_watch_lists_anew_and_goes_on() -> None:
    """Source: an exception that only ends a task is seen by nobody, and every decision stands on what was true then."""
    before = broken("no")
    api = ScriptedApi([ODD], [{"type": "ADDED", "object": service("ws-b", 50)}])
    with capture_logs() as logs:
        async with watching(api) as watched:
            assert watched.shelf.workspaces() == {"ws-a", "ws-b"}

    assert api.lists == 2
    assert broken("no") == before + 1
    assert [log["log_level"] for log in logs if log["event"] == "kubernetes_watch_broke_unforeseen"] == ["error"]


async def test_who_waits_for_a_first_list_that_cannot_be_read_is_told_so() -> None:
    class Unreadable(ScriptedApi):
        async def pages(self, _kind: Kind, *, query: Mapping[str, str]) -> AsyncIterator[Event]:
            yield {"items": [], "query": query}

    shelf = Shelf(read_object, lambda _name: None)
    made = Watcher(cast(Api, Unreadable()), SERVICES, shelf=shelf, query={})
    running = asyncio.create_task(made.run())
    with pytest.raises(ApiFailed, match="KeyError"):
        await made.first_list()
    assert made.silence_s >= 0
    running.cancel()
    await asyncio.wait([running])


def test_an_old_objects_end_that_is_told_late_does_not_take_the_new_one_of_its_name_away() -> None:
    """Source: a call of our own has answered with the new one before the watch tells of the old one's end."""
    shelf = Shelf(read_object, lambda _name: None)
    shelf.replace([], version="1")
    shelf.put(service("ws-a", 100))
    shelf.put(service("ws-a", 105))
    shelf.drop(service("ws-a", 101))
    assert shelf.one("ws-a") is not None
    shelf.drop(service("ws-a", 106))
    assert shelf.one("ws-a") is None
