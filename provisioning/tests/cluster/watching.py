"""Watches: what happened since a version, and what happens, as lines of JSON.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import orjson

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import EVENTS, Kind, Object
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.selectors import Matches, selector
from provisioning.tests.cluster.signals import Signal
from provisioning.tests.cluster.store import Change, Store

# "Servers may send bookmarks at intervals"; the real one's is about a minute. Of events it keeps no cache, and sends none:
# https://github.com/kubernetes/kubernetes/issues/131897
BOOKMARK_S = 60.0


@dataclass
class Watch:
    """One open watch. `silent`: the connection stands and says nothing; `ended`: the server closes it."""

    kind: Kind
    namespace: str
    matches: Matches
    version: int
    bookmarks: bool
    signal: Signal
    silent: bool = False
    ended: bool = False
    bookmark_due: bool = False
    pending: list[bytes] = field(default_factory=list)

    def end(self) -> None:
        self.ended = True
        self.signal.set()

    def ask_for_bookmark(self) -> None:
        self.bookmark_due = self.bookmarks
        self.signal.set()


def opened(store: Store, request: Request) -> Watch:
    """The watch that a request asks for, with what it begins with. Raises Refused 400, and 410 for a forgotten version."""
    kind = request.target.kind
    matches = selector(
        kind, labels=request.query.get("labelSelector", ""), fields=request.query.get("fieldSelector", "")
    )
    version = request.number("resourceVersion")
    watch = Watch(
        kind=kind,
        namespace=request.target.namespace,
        matches=matches,
        version=version or store.version,
        bookmarks=request.flag("allowWatchBookmarks") and kind is not EVENTS,
        signal=Signal(),
    )
    initial = request.flag("sendInitialEvents")
    if initial and request.query.get("resourceVersionMatch") != "NotOlderThan":
        raise statuses.bad_request("resourceVersionMatch is forbidden: sendInitialEvents requires NotOlderThan")
    # "Get State and Start at Any": without a version all that is there comes first, as if it had just been made.
    if initial or not version:
        found = (tree for tree in store.listed(kind, watch.namespace) if matches(tree))
        watch.pending = [line("ADDED", orjson.dumps(tree)) for tree in found]
        watch.version = store.version
    if initial and watch.bookmarks:
        watch.pending.append(bookmark(watch, initial_end=True))
    return watch


def next_lines(store: Store, watch: Watch) -> list[bytes]:
    """What the watch has to say now; an ERROR line, and the end, when its version is forgotten."""
    if watch.silent:
        return []
    lines, watch.pending = watch.pending, []
    try:
        changes = store.since(watch.version)
    except statuses.Refused as refused:
        watch.ended = True
        return [*lines, line("ERROR", orjson.dumps(refused.status()))]
    lines.extend(_lines(watch, changes))
    watch.version = store.version
    if watch.bookmark_due:
        watch.bookmark_due = False
        lines.append(bookmark(watch))
    return lines


def _lines(watch: Watch, changes: list[Change]) -> Iterator[bytes]:
    for change in changes:
        if change.kind is watch.kind and watch.namespace in {"", change.tree["metadata"].get("namespace", "")}:
            said = _as_seen(change, watch.matches)
            if said:
                yield line(said, change.json)


def _as_seen(change: Change, matches: Matches) -> str:
    """An object that comes into the selection is ADDED, one that leaves it is DELETED."""
    was = change.previous is not None and matches(change.previous)
    now = change.type != "DELETED" and matches(change.tree)
    return {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, now), "")


def line(type_: str, tree: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), tree)


def bookmark(watch: Watch, *, initial_end: bool = False) -> bytes:
    """An object of the watched kind that has a version and nothing else."""
    metadata: Object = {"resourceVersion": str(watch.version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return line(
        "BOOKMARK", orjson.dumps({"kind": watch.kind.name, "apiVersion": watch.kind.api_version, "metadata": metadata})
    )


async def lines_of(watch: Watch, next_: Callable[[], list[bytes]]) -> AsyncIterator[bytes]:
    """The lines of a watch as they come, until it ends."""
    while True:
        watch.signal.clear()
        lines = next_()
        if lines:
            yield b"".join(lines)
        if watch.ended:
            return
        await watch.signal.wait()
