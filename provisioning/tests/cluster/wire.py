"""A bare HTTP client of the API, for what the typed one hides: codes, headers, bodies, lines of a watch."""

import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import orjson

from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.patches import APPLY, MERGE_PATCH
from provisioning.tests.cluster.serving import Served

PODS = "/api/v1/namespaces/workspaces/pods"
CONFIG_MAPS = "/api/v1/namespaces/workspaces/configmaps"
CLAIMS = "/api/v1/namespaces/workspaces/persistentvolumeclaims"
SERVICES = "/api/v1/namespaces/workspaces/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/workspaces/deployments"


class Wire:
    """Requests with a token; the administrator's when none is given."""

    def __init__(self, api: Served, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token or api.cluster.identities.admin_token}", "User-Agent": "wire/1"}
        self._http = httpx.Client(base_url=api.url, headers=headers, trust_env=False, timeout=20, verify=_trust(api))

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, path: str, tree: Any = None, **query: str) -> httpx.Response:
        return self._http.request(method, path, content=_body(tree), params=query, headers=_kind("application/json"))

    def patch(self, path: str, tree: Any, content_type: str = MERGE_PATCH, **query: str) -> httpx.Response:
        return self._http.patch(path, content=_body(tree), params=query, headers=_kind(content_type))

    def apply(self, path: str, tree: Object, manager: str, **query: str) -> httpx.Response:
        return self.patch(path, tree, APPLY, fieldManager=manager, **query)

    def get(self, path: str, **query: str) -> Any:
        return self.send("GET", path, **query).json()

    def opened(self, path: str, **query: str) -> AbstractContextManager[httpx.Response]:
        """The answer's head; its body is still to come."""
        return self._http.stream("GET", path, params=query)

    def watch(self, path: str, **query: str) -> Iterator[Any]:
        """The events of a watch; ends with it."""
        with self.opened(path, watch="1", **query) as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                yield orjson.loads(line)


def _trust(api: Served) -> Any:
    return ssl.create_default_context(cafile=api.ca_file) if api.ca_file else True


def _body(tree: Any) -> bytes | None:
    return orjson.dumps(tree) if tree is not None else None


def _kind(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type}
