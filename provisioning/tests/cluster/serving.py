"""The cluster on a port of 127.0.0.1, in a thread of its own, so that its work is not the caller's."""

import asyncio
import ssl
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
import yaml

from provisioning.tests.cluster.app import Api
from provisioning.tests.cluster.certificates import Certificates
from provisioning.tests.cluster.cluster import Cluster

# A machine under load may take its time; a server that doesn't start is a defect.
START_TIMEOUT_S = 20.0

# How long the real clock's loop sleeps at most: it doesn't hear of an action that became due meanwhile.
TICK_S = 0.02

Background = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Served:
    """Where a served cluster is, and what a client needs to reach it. `ca_file` is empty over plain HTTP."""

    cluster: Cluster
    url: str
    ca_file: str
    folder: Path
    certificates: Certificates | None = None

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kubeconfig(self, token: str = "") -> Path:
        """A kubeconfig file for the token's user, the administrator without one."""
        token = token or self.cluster.identities.admin_token
        server = {"server": self.url} | ({"certificate-authority": self.ca_file} if self.ca_file else {})
        return self._kubeconfig(server, {"token": token})

    def kubeconfig_by_certificate(
        self, user: str = "kubernetes-admin", groups: Sequence[str] = ("system:masters",)
    ) -> Path:
        """The same for the bearer of a client certificate, all in the file, as kubeadm and kind write it."""
        assert self.certificates is not None
        certificate, key = self.certificates.of_client(user, groups)
        server = {"server": self.url, "certificate-authority-data": _text(self.certificates.ca.read_bytes())}
        return self._kubeconfig(server, {"client-certificate-data": _text(certificate), "client-key-data": _text(key)})

    def _kubeconfig(self, server: dict[str, str], user: dict[str, str]) -> Path:
        context = {"cluster": "fake", "user": "caller", "namespace": self.cluster.namespace}
        tree = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": server}],
            "users": [{"name": "caller", "user": user}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        path = self.folder / f"kubeconfig-{len(list(self.folder.glob('kubeconfig-*')))}"
        path.write_text(yaml.safe_dump(tree))
        return path


@contextmanager
def served(cluster: Cluster, folder: Path, *, tls: bool = False) -> Iterator[Served]:
    """Serve the cluster inside the block. `folder` takes certificates and kubeconfig files."""
    certificates = Certificates.made_in(folder) if tls else None

    async def tick() -> None:
        """Run what comes due on a real clock."""
        while not cluster.clock.virtual:
            cluster.run(lambda: None)
            await asyncio.sleep(TICK_S)

    with running(Api(cluster), certificates=certificates, background=tick) as port:
        try:
            yield Served(
                cluster=cluster,
                url=f"{'https' if certificates else 'http'}://127.0.0.1:{port}",
                ca_file=str(certificates.ca) if certificates else "",
                folder=folder,
                certificates=certificates,
            )
        finally:
            cluster.end_watches()


@contextmanager
def running(
    app: Any, *, certificates: Certificates | None = None, background: Background | None = None
) -> Iterator[int]:
    """Run an ASGI application inside the block; gives its port. `background` runs beside it, on the same loop."""
    server = uvicorn.Server(_config(app, certificates))

    async def serve() -> None:
        beside = asyncio.ensure_future(background()) if background else None
        await server.serve()
        if beside:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server", daemon=True)
    thread.start()
    _await_start(server, thread)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _config(app: Any, certificates: Certificates | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        ws="none",
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=str(certificates.certificate) if certificates else None,
        ssl_keyfile=str(certificates.key) if certificates else None,
        # As a real server: who has a certificate may show it, who has a token need not.
        ssl_ca_certs=str(certificates.ca) if certificates else None,
        ssl_cert_reqs=ssl.CERT_OPTIONAL if certificates else ssl.CERT_NONE,
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    for _ in range(int(START_TIMEOUT_S / 0.01)):
        if server.started or not thread.is_alive():
            break
        waited.wait(0.01)
    if not server.started:
        raise RuntimeError("the server has not started")
