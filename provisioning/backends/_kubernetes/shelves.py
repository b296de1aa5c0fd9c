"""What this process last heard of the cluster, by workspace, and who waits to hear more."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.views import View

V = TypeVar("V", bound=View)


class Shelf(Generic[V]):
    """The objects of one kind; `changed` is called with the workspace of each that changes."""

    def __init__(self, read: Callable[[Tree], V | None], changed: Callable[[str], None]) -> None:
        self._read = read
        self._changed = changed
        self._workspaces: dict[str, dict[str, V]] = defaultdict(dict)
        # Up to where the watch has told; an answer to a call of our own may come before or after what it tells.
        self.version = ""

    def of(self, workspace: str) -> list[V]:
        """The workspace's objects, the newest last."""
        return sorted(
            self._workspaces.get(workspace, {}).values(), key=lambda view: (view.created, _number(view.version))
        )

    def one(self, workspace: str) -> V | None:
        """The object that has the workspace's own name."""
        return self._workspaces.get(workspace, {}).get(workspace)

    def all(self) -> Iterator[V]:
        """Every object."""
        for views in self._workspaces.values():
            yield from views.values()

    def workspaces(self) -> set[str]:
        """The workspaces that have an object here."""
        return set(self._workspaces)

    def __len__(self) -> int:
        return sum(len(views) for views in self._workspaces.values())

    def put(self, tree: Tree) -> None:
        """Take in an object as it is now, unless something newer is known of it."""
        view = self._read(tree)
        if view is None:
            return
        views = self._workspaces.get(view.workspace, {})
        known = views.get(view.name)
        # One that is not here, though the watch has told beyond this version, was deleted since.
        floor = known.version if known is not None else self.version
        if floor and _number(view.version) <= _number(floor):
            return
        self._workspaces[view.workspace][view.name] = view
        self._changed(view.workspace)

    def is_beyond(self, version: str) -> bool:
        """Whether neither the list nor the watch has told of this version before."""
        return _number(version) > _number(self.version)

    def drop(self, tree: Tree) -> None:
        """The object was deleted; one of its name that is newer, as an answer of our own may tell early, stays."""
        view = self._read(tree)
        if view is None:
            return
        known = self._workspaces.get(view.workspace, {}).get(view.name)
        if known is None or _number(known.version) > _number(view.version):
            return
        del self._workspaces[view.workspace][view.name]
        self._tidy(view.workspace)
        self._changed(view.workspace)

    def views(self, trees: Iterable[Tree]) -> list[V]:
        """What is kept of these objects."""
        return [view for view in map(self._read, trees) if view is not None]

    def replace(self, views: Iterable[V], *, version: str) -> None:
        """These are all objects that there were at `version`."""
        former, self._workspaces = self._workspaces, defaultdict(dict)
        for view in views:
            self._workspaces[view.workspace][view.name] = view
        self.version = version
        for workspace in former.keys() | self._workspaces.keys():
            if former.get(workspace) != self._workspaces.get(workspace):
                self._changed(workspace)

    def _tidy(self, workspace: str) -> None:
        if not self._workspaces[workspace]:
            del self._workspaces[workspace]


def _number(version: str) -> int:
    """Versions of one kind of objects grow: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions"""
    return int(version) if version.isdecimal() else 0
