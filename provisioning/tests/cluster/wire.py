"""A bare HTTP client of the API, for what the typed one hides: codes, headers, bodies, lines of a watch."""

import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from kubernetes import client, config

from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.patches import APPLY, MERGE_PATCH
from provisioning.tests.cluster.serving import Served

NAMESPACE = "/api/v1/namespaces/workspaces"
PODS = f"{NAMESPACE}/pods"
CONFIG_MAPS = f"{NAMESPACE}/configmaps"
CLAIMS = f"{NAMESPACE}/persistentvolumeclaims"
SERVICES = f"{NAMESPACE}/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/workspaces/deployments"

# How long a server may say nothing before a test is over.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Access:
    """A server and how to be believed there. `headers` may carry a token, `trust` a client certificate."""

    url: str
    trust: ssl.SSLContext | bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def by(self, token: str) -> "Access":
        """The same server, without a client certificate and with this token."""
        trust = self.trust
        if isinstance(trust, ssl.SSLContext):
            trust = ssl.create_default_context(cadata=_authorities(trust))
        return Access(self.url, trust, {"Authorization": f"Bearer {token}"})


def access_to(api: Served) -> Access:
    """As the administrator of a cluster that is served here."""
    trust = ssl.create_default_context(cafile=api.ca_file) if api.ca_file else True
    return Access(api.url, trust).by(api.cluster.identities.admin_token)


def access_by(kubeconfig: Path) -> Access:
    """As the user of a kubeconfig file, by whatever way the official client knows."""
    settings = client.Configuration()
    config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]  # of the client
    trust = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        trust.load_cert_chain(settings.cert_file, settings.key_file)
    headers: list[Any] = list(settings.auth_settings().values())
    return Access(settings.host, trust, {each["key"]: each["value"] for each in headers})


class Wire:
    """Requests to a server. What tests call the namespace `workspaces` is `namespace` there, both ways."""

    def __init__(self, access: Access, namespace: str = "workspaces", *, rest_s: float = 0.0) -> None:
        self._access = access
        self.namespace = namespace
        self._rest_s = rest_s
        self._http = httpx.Client(
            base_url=access.url,
            headers={**access.headers, "User-Agent": "wire/1"},
            trust_env=False,
            timeout=PATIENCE_S,
            verify=access.trust,
        )

    def close(self) -> None:
        self._http.close()

    def by(self, token: str) -> "Wire":
        """The same server and namespace, asked by the bearer of a token."""
        return Wire(self._access.by(token), self.namespace)

    def send(self, method: str, path: str, tree: Any = None, **query: str) -> httpx.Response:
        return self._ask(method, path, tree, ("application/json", query))

    def patch(self, path: str, tree: Any, content_type: str = MERGE_PATCH, **query: str) -> httpx.Response:
        return self._ask("PATCH", path, tree, (content_type, query))

    def apply(self, path: str, tree: Object, manager: str, **query: str) -> httpx.Response:
        return self.patch(path, tree, APPLY, fieldManager=manager, **query)

    def get(self, path: str, **query: str) -> Any:
        return self.send("GET", path, **query).json()

    def skip_before(self, minor: int) -> None:
        """Skip the test on a server that is older than 1.`minor`."""
        # `minor` is empty in a server that was built without its Makefile.
        own = int(self.get("/version")["gitVersion"].split(".")[1])
        if own < minor:
            pytest.skip(f"this server is 1.{own}; what is tested came with 1.{minor}")

    def at_rest(self, path: str) -> Any:
        """The object when no controller has written it for a while; a real server's may."""
        tree = self.get(path)
        while self._rest_s:
            time.sleep(self._rest_s)
            before, tree = tree, self.get(path)
            if tree == before:
                break
        return tree

    def watch(self, path: str, **query: str) -> Iterator[Any]:
        """The events of a watch; ends with it."""
        with self.opened(path, watch="1", **query) as lines:
            yield from map(orjson.loads, lines)

    @contextmanager
    def opened(self, path: str, **query: str) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come; its head has come."""
        with self._http.stream("GET", self._there(path), params=query) as answer:
            assert answer.status_code == 200, answer.read()
            yield (self._here(line) for line in answer.iter_lines())

    def _ask(self, method: str, path: str, tree: Any, how: tuple[str, dict[str, str]]) -> httpx.Response:
        content_type, query = how
        body = None if tree is None else self._there(orjson.dumps(tree).decode())
        headers = {"Content-Type": content_type}
        answer = self._http.request(method, self._there(path), content=body, params=query, headers=headers)
        kept = {
            name: value for name, value in answer.headers.items() if name not in {"content-length", "content-encoding"}
        }
        return httpx.Response(answer.status_code, headers=kept, text=self._here(answer.text))

    def _there(self, text: str) -> str:
        return text.replace("workspaces", self.namespace)

    def _here(self, text: str) -> str:
        return text.replace(self.namespace, "workspaces")


def _authorities(trust: ssl.SSLContext) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(each) for each in trust.get_ca_certs(binary_form=True))


@contextmanager
def own_namespace(kubeconfig: Path) -> Iterator[Wire]:
    """A namespace of the test's own on a real server, deleted at its end."""
    namespace = f"dexorder-test-{uuid.uuid4().hex[:12]}"
    wire = Wire(access_by(kubeconfig), namespace, rest_s=1.0)
    try:
        made = wire.send("POST", "/api/v1/namespaces", _named("Namespace", "workspaces"))
        assert made.status_code == 201, made.text
        # Where no controller makes it, a pod's service account is to be there all the same.
        wire.send("POST", f"{NAMESPACE}/serviceaccounts", _named("ServiceAccount", "default"))
        yield wire
    finally:
        wire.send("DELETE", NAMESPACE)
        wire.close()


def _named(kind: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
