"""What a sidecar speaks to, scripted, over loopback: a server's `/activity` and the API server of a cluster."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

QUIET: dict[str, Any] = {"in_flight": 0, "last_useful": 1000.0, "started": 900.0}
NAMESPACE, NAME = "dexorder-workspaces", "ws-abcdefghijklm"
SCALE = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}/scale"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], *, trust: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a free loopback port, which is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # A peer that hangs is left behind, not waited for.
    server.block_on_close = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gives up is no news
    if trust:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Silent(BaseHTTPRequestHandler):
    """Answers JSON and logs nothing."""

    def answer(self, status: int, body: object) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def activity(answer: Callable[[int], Any]) -> Iterator[str]:
    """An `/activity` whose n-th answer, from 1, is `answer(n)`; gives its URL."""
    asked = 0

    class Handler(Silent):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            self.answer(200, answer(asked))

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/activity"


Fault = Callable[["Api"], None]


@dataclass
class Cluster:
    """One Deployment as an API server keeps it. `faults` are what the next requests meet instead of an answer."""

    folder: Path
    port: int = 0
    replicas: int = 1
    version: int = 100
    annotations: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # What happens elsewhere in the moment before a stop is taken in.
    before_patch: Callable[[], None] = lambda: None

    def annotate(self, value: str) -> None:
        """The gateway wants the workspace."""
        self.annotations["dexorder.io/demand-at"] = value
        self.version += 1

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text().strip()

    @property
    def environ(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}


class Api(Silent):
    """`deployments/scale` of one Deployment: token, content type and preconditions as an API server checks them."""

    cluster: Cluster

    def do_GET(self) -> None:
        self._meet(lambda: self.answer(200, self._scale()))

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-type"] != "application/merge-patch+json":
            self.refuse(415)
        else:
            self._meet(lambda: self.patch(json.loads(body)))

    def patch(self, patch: dict[str, Any]) -> None:
        self.cluster.patches.append(patch)
        self.cluster.before_patch()
        if self.apply(patch):
            self.answer(200, self._scale())
        else:
            self.refuse(409)

    def apply(self, patch: dict[str, Any]) -> bool:
        """Set what the patch says, unless its precondition is not met."""
        if patch["metadata"].get("resourceVersion", str(self.cluster.version)) != str(self.cluster.version):
            return False
        self.cluster.replicas = patch["spec"]["replicas"]
        self.cluster.version += 1
        return True

    def refuse(self, status: int) -> None:
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status})

    def _meet(self, action: Callable[[], None]) -> None:
        self.cluster.log.append(self.command)
        if self.headers["authorization"] != f"Bearer {self.cluster.token}":
            self.refuse(401)
        elif self.path != SCALE:
            self.refuse(404)
        elif self.cluster.faults:
            self.cluster.faults.pop(0)(self)
        else:
            action()

    def _scale(self) -> dict[str, Any]:
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "resourceVersion": str(self.cluster.version)},
            "spec": {"replicas": self.cluster.replicas},
            "status": {"replicas": self.cluster.replicas, "selector": f"app={NAME}"},
        }


def refusing(status: int) -> Fault:
    return lambda api: api.refuse(status)


def saying(body: object) -> Fault:
    return lambda api: api.answer(200, body)


def hang(api: Api) -> None:
    """Say nothing until the peer has gone."""
    api.connection.recv(1)


def cut(api: Api) -> None:
    """End the connection in the middle of an answer."""
    api.send_response(200)
    api.send_header("content-length", "500")
    api.end_headers()
    api.wfile.write(b'{"metadata"')
    api.close_connection = True


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """An API server with TLS of a CA of its own; `folder` gets what a pod finds in its projected folder."""
    key, certificate = write_certificates(folder)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate, key)
    (folder / "token").write_text("first-token\n")
    (folder / "namespace").write_text(NAMESPACE)
    kept = Cluster(folder)
    with serving(type("Handler", (Api,), {"cluster": kept}), trust=trust) as kept.port:
        yield kept


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Make a CA, `ca.crt`, and a certificate of it for loopback; gives the latter's key file and certificate file."""
    ca, own = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster")])
    own_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api-server")])
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    is_ca = x509.BasicConstraints(ca=True, path_length=0)
    ca_certificate = _builder(ca_name, ca_name).public_key(ca.public_key()).add_extension(is_ca, critical=True)
    own_certificate = _builder(own_name, ca_name).public_key(own.public_key()).add_extension(loopback, critical=False)
    key, certificate = folder / "api.key", folder / "api.crt"
    (folder / "ca.crt").write_bytes(ca_certificate.sign(ca, SHA256()).public_bytes(Encoding.PEM))
    certificate.write_bytes(own_certificate.sign(ca, SHA256()).public_bytes(Encoding.PEM))
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key, certificate


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        serial_number=serial,
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(hours=1),
    )


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
