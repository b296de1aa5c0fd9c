"""The Kubernetes API as the backend needs it: apply, merge, get, delete, list and watch in one namespace."""

import random
from collections.abc import AsyncIterator, Callable, Mapping

from provisioning.backends._kubernetes.connecting import connected
from provisioning.backends._kubernetes.kinds import BY_NAME, PODS, Kind
from provisioning.backends._kubernetes.manifests import MANAGER
from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.transport import Query, Request, Transport, failure_of_event

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
# Lists of containers are merged by name: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
STRATEGIC = "application/strategic-merge-patch+json"
# Objects of a page: what is read from one page at once must not hold up the event loop.
PAGE = 250
# The API server ends a watch after this; drawn anew, as client-go does, so that all do not come back at once.
WATCH_S = (240, 300)


class Api:
    """Calls on one namespace, in one event loop. All raise ApiFailed."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace

    @classmethod
    async def open(cls, namespace: str) -> "Api":
        """The API of the cluster that the settings name. Raises ImproperlyConfigured."""
        return cls(Transport(await connected()), namespace)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def apply(self, tree: Tree, *, force: bool = False) -> Tree:
        """Create the object, or bring what the tree says in line; the object as it is now.

        Without `force` a field that somebody else has set otherwise is a Conflict.
        """
        kind, name = BY_NAME[tree["kind"]], tree["metadata"]["name"]
        query: Query = {"fieldManager": MANAGER, "force": force, "fieldValidation": "Strict"}
        path = kind.path(self.namespace, name)
        request = Request("apply", path, kind.plural, name, method="PATCH", query=query, content_type=APPLY, body=tree)
        return await self._transport.call(request)

    async def patch(self, kind: Kind, name: str, change: Tree, *, subresource: str = "") -> Tree:
        """Merge `change` into the object; a `resourceVersion` or a `uid` in its metadata is a condition, else Conflict."""
        path = kind.path(self.namespace, name, subresource)
        query = {"fieldManager": MANAGER}
        request = Request(
            "patch", path, kind.plural, name, method="PATCH", query=query, content_type=MERGE, body=change
        )
        return await self._transport.call(request)

    async def resize(self, pod: str, container: str, resources: Tree) -> Tree:
        """Give a container of a running pod other resources. Raises Missing where the cluster can't (before 1.33), Refused."""
        body = {"spec": {"containers": [{"name": container, "resources": resources}]}}
        path = PODS.path(self.namespace, pod, "resize")
        request = Request("resize", path, PODS.plural, pod, method="PATCH", content_type=STRATEGIC, body=body)
        return await self._transport.call(request)

    async def get(self, kind: Kind, name: str) -> Tree:
        """One object. Raises Missing."""
        return await self._transport.call(Request("get", kind.path(self.namespace, name), kind.plural, name))

    async def delete(self, kind: Kind, name: str, *, uid: str, version: str = "") -> None:
        """Delete the object if it is the one of `uid`, and still of that version if one is given. Raises Conflict, Missing."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        body = options | {"preconditions": {"uid": uid} | ({"resourceVersion": version} if version else {})}
        path = kind.path(self.namespace, name)
        await self._transport.call(Request("delete", path, kind.plural, name, method="DELETE", body=body))

    async def pages(self, kind: Kind, *, query: Mapping[str, str]) -> AsyncIterator[Tree]:
        """Every page of a list. Raises Gone when the whole took longer than the API server remembers."""
        token = ""
        while True:
            wanted: Query = {**query, "limit": PAGE, **({"continue": token} if token else {})}
            page = await self._transport.call(Request("list", kind.path(self.namespace), kind.plural, query=wanted))
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def watch(
        self, kind: Kind, *, query: Mapping[str, str], version: str, opened: Callable[[], None]
    ) -> AsyncIterator[Tree]:
        """The events of the kind since `version`, bookmarks included, until the watch is to be opened anew.

        The API server ends it, or says nothing for a while. `opened` is called when it has taken the watch. Raises Gone when it
        does not know that version any more.
        """
        seconds = random.randint(*WATCH_S)  # noqa: S311 - no secret
        wanted: Query = {
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        request = Request("watch", kind.path(self.namespace), kind.plural, query={**query, **wanted})
        async for event in self._transport.stream(request, opened=opened):
            if event["type"] == "ERROR":
                raise failure_of_event(request, event["object"])
            yield event
