"""The cluster on a port of 127.0.0.1, in a thread of its own, so that its work is not the caller's."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import yaml

from provisioning.tests.cluster.app import Api
from provisioning.tests.cluster.certificates import Certificates
from provisioning.tests.cluster.cluster import Cluster

# A machine under load may take its time; a server that doesn't start is a defect.
START_TIMEOUT_S = 20.0

# How long the real clock's loop sleeps at most: it doesn't hear of an action that became due meanwhile.
TICK_S = 0.02


@dataclass(frozen=True)
class Served:
    """Where a served cluster is, and what a client needs to reach it. `ca_file` is empty over plain HTTP."""

    cluster: Cluster
    url: str
    ca_file: str
    folder: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kubeconfig(self, token: str = "") -> Path:
        """A kubeconfig file for the token's user, the administrator without one."""
        token = token or self.cluster.identities.admin_token
        server = {"server": self.url} | ({"certificate-authority": self.ca_file} if self.ca_file else {})
        tree = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": server}],
            "users": [{"name": "caller", "user": {"token": token}}],
            "contexts": [
                {"name": "fake", "context": {"cluster": "fake", "user": "caller", "namespace": self.cluster.namespace}}
            ],
            "current-context": "fake",
        }
        path = self.folder / f"kubeconfig-{len(list(self.folder.glob('kubeconfig-*')))}"
        path.write_text(yaml.safe_dump(tree))
        return path


@contextmanager
def served(cluster: Cluster, folder: Path, *, tls: bool = False) -> Iterator[Served]:
    """Serve the cluster inside the block. `folder` takes certificates and kubeconfig files."""
    certificates = Certificates.made_in(folder) if tls else None
    server = uvicorn.Server(_config(cluster, certificates))
    thread = threading.Thread(target=_run, args=(server, cluster), name="cluster", daemon=True)
    thread.start()
    _await_start(server, thread)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(
            cluster=cluster,
            url=f"{'https' if certificates else 'http'}://127.0.0.1:{port}",
            ca_file=str(certificates.ca) if certificates else "",
            folder=folder,
        )
    finally:
        server.should_exit = True
        cluster.end_watches()
        thread.join()


def _config(cluster: Cluster, certificates: Certificates | None) -> uvicorn.Config:
    return uvicorn.Config(
        Api(cluster),
        host="127.0.0.1",
        port=0,
        lifespan="off",
        ws="none",
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=str(certificates.certificate) if certificates else None,
        ssl_keyfile=str(certificates.key) if certificates else None,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )


def _run(server: uvicorn.Server, cluster: Cluster) -> None:
    async def serve() -> None:
        ticking = asyncio.create_task(_tick(cluster))
        await server.serve()
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking

    asyncio.run(serve())


async def _tick(cluster: Cluster) -> None:
    """Run what comes due on a real clock."""
    while not cluster.clock.virtual:
        cluster.run(lambda: None)
        await asyncio.sleep(TICK_S)


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    for _ in range(int(START_TIMEOUT_S / 0.01)):
        if server.started or not thread.is_alive():
            break
        waited.wait(0.01)
    if not server.started:
        raise RuntimeError("the cluster's server has not started")
