"""One watch of one kind for the whole process: listed once, then told, and taken up again where it broke off."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from provisioning import metrics
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.errors import ApiFailed, Away, Gone
from provisioning.backends._kubernetes.kinds import Kind
from provisioning.backends._kubernetes.shelves import Shelf
from provisioning.backends._kubernetes.templates import Tree

# Between two tries while the API server is away, doubled up to the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
# A watch that is taken, and not ended for so long, works, also where there is nothing to say.
STEADY_S = LONGEST_PAUSE_S
# So many ends in a row without a word are no chance.
MOST_SHORT = 3
# Events taken in before the event loop has its turn: some milliseconds' work.
AT_ONCE = 32

log = structlog.get_logger(__name__)


class Watcher:
    """Keeps a shelf true to the cluster for as long as `run` runs; `synced` once it has been so, `failure` while it can't be."""

    def __init__(self, api: Api, kind: Kind, *, shelf: Shelf[Any], query: Mapping[str, str]) -> None:
        self.kind = kind
        self.shelf = shelf
        self.synced = asyncio.Event()
        self.failure: ApiFailed | None = None
        self.tried = asyncio.Event()
        self._hurry = asyncio.Event()
        self._api = api
        self._query = query
        self._heard = time.monotonic()
        self._standing: asyncio.TimerHandle | None = None
        # Events, bookmarks included.
        self._taken = 0

    @property
    def silence_s(self) -> float:
        """Since when nothing was heard of the watch: no event, no bookmark, nor that it stands."""
        return time.monotonic() - self._heard

    async def run(self) -> None:
        """List and watch until cancelled. What breaks it off is told, whatever it is, and it begins again after a pause.

        The pause grows until something was heard or the watch has stood for a while: one that is ended at once, as some proxies
        do, does not work.
        """
        pause_s, short = FIRST_PAUSE_S, 0
        while True:
            began, taken = time.monotonic(), self._taken
            ended = await self._followed()
            if ended and self._taken > taken:
                pause_s, short = FIRST_PAUSE_S, 0
                continue
            stood = time.monotonic() - began > STEADY_S
            pause_s, short = (FIRST_PAUSE_S, 0) if stood else (pause_s, short + 1)
            if ended and short >= MOST_SHORT:
                self._note(Away("the server ends it at once", about=f"watch {self.kind.plural}"), foreseen=True)
            asked_s = self.failure.retry_after_s if not ended and isinstance(self.failure, Away) else 0.0
            await self._rest(max(pause_s * (0.5 + random.random()), asked_s))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _followed(self) -> bool:
        """Follow until the watch ends; False when it breaks off."""
        try:
            await self._follow()
        except Gone:
            log.info("kubernetes_watch_lists_anew", resource=self.kind.plural)
            self.shelf.version = ""
        except ApiFailed as error:
            self._note(error, foreseen=True)
        except Exception as error:
            # A task that ends unseen leaves every decision to what was true once.
            log.exception("kubernetes_watch_broke_unforeseen", resource=self.kind.plural)
            # Not taken up where it was: what could not be read would come again.
            self.shelf.version = ""
            self._note(ApiFailed(type(error).__name__, about=f"watch {self.kind.plural}"), foreseen=False)
        else:
            return True
        finally:
            if self._standing is not None:
                self._standing.cancel()
        return False

    async def first_list(self) -> None:
        """Return once the kind has been listed; what failed a while ago is tried again at once. Raises ApiFailed."""
        while not self.synced.is_set():
            self._hurry.set()
            self.tried.clear()
            await self.tried.wait()
            if self.failure is not None and not self.synced.is_set():
                raise self.failure

    async def _rest(self, seconds: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _follow(self) -> None:
        if not self.shelf.version:
            await self._list()
        version = self.shelf.version
        async for event in self._api.watch(self.kind, query=self._query, version=version, opened=self._opened):
            self._hear()
            self._take(event["type"], event["object"])
            self._taken += 1
            if self._taken % AT_ONCE == 0:
                # What has arrived already is read without waiting.
                await asyncio.sleep(0)

    def _opened(self) -> None:
        self._standing = asyncio.get_running_loop().call_later(STEADY_S, self._hear)

    async def _list(self) -> None:
        views: list[Any] = []
        version = ""
        async for page in self._api.pages(self.kind, query=self._query):
            # Whole objects are let go of page by page.
            views += self.shelf.views(page.get("items") or [])
            version = page["metadata"]["resourceVersion"]
            # The event loop's turn: a page takes some milliseconds to read.
            await asyncio.sleep(0)
        self.shelf.replace(views, version=version)
        self._hear()
        self.synced.set()
        self.tried.set()

    def _take(self, happened: str, tree: Tree) -> None:
        if happened == "DELETED":
            self.shelf.drop(tree)
        elif happened != "BOOKMARK":
            self.shelf.put(tree)
        self.shelf.version = tree["metadata"]["resourceVersion"]

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self.failure = None

    def _note(self, error: ApiFailed, *, foreseen: bool) -> None:
        metrics.WATCH_FAILURES.labels(self.kind.plural, "yes" if foreseen else "no").inc()
        if self.failure is None:
            log.warning("kubernetes_watch_broke", resource=self.kind.plural, error=str(error))
        self.failure = error
        self.tried.set()
