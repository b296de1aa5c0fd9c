"""Run the gateway: the web server, the background services beside it, or these alone."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
import uvicorn
from django.conf import settings

from agents import harness, telemetry
from agents import worker as agents_worker
from agents.history import warm_up as warm_up_history
from agents.model_pool import warm_up
from agents.schedules import service as schedules
from channels_app import deliveries
from gateway.db import close_pool, conninfo, open_pool
from gateway.ending import end
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups
from gateway.websocket_protocol import ChatProtocol
from provisioning import keeper

Service = Callable[[Services], Coroutine[Any, Any, None]]

WORKING: tuple[Service, ...] = (agents_worker.run, deliveries.run, schedules.run)
KEEPING: tuple[Service, ...] = (keeper.run,)
# The protocol's limits, DESIGN section 3: 64 KiB a frame, a ping every 20 s, 60 s of silence.
MAX_FRAME_BYTES = 64 * 1024
PING_EVERY_S = 20.0
PONG_WITHIN_S = 40.0
# What runs when the process is told to stop may take this long to end.
GRACEFUL_S = 5
RESTART_AFTER_S = 1.0
# Connections that wait to be accepted, as uvicorn has it; the kernel's net.core.somaxconn may be lower.
BACKLOG = 2048
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Any number, as long as nothing else in the database uses it for an advisory lock.
_ALONE_LOCK = 0x6465786F

log = structlog.get_logger(__name__)


class NotAlone(Exception):
    """Another process of the gateway runs on this database. Set REDIS_URL, so that they can share the work."""


def hold_alone() -> psycopg.Connection | None:
    """Without REDIS_URL, hold the lock of the only process; it lasts as long as the connection that is returned.

    A lock of the session, so that a killed process is never in the way. Raises NotAlone, and psycopg.Error.
    """
    if settings.REDIS_URL:
        return None
    conn = psycopg.connect(conninfo(direct=True), autocommit=True)
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_ALONE_LOCK,)).fetchone()
    if row is None or not row[0]:
        conn.close()
        raise NotAlone
    return conn


class PortTaken(Exception):
    """Another program listens there already. Stop it, or set another PORT."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises PortTaken, and OSError for an address that is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(f"Port {port}: {PortTaken.__doc__}") from error


async def serve(listening: socket.socket, *, worker: bool, on_ready: Callable[[], None]) -> None:
    """Serve HTTP and WebSocket until SIGTERM or SIGINT, with the background services beside it if `worker`.

    The socket is closed at the end.
    """
    telemetry.start()
    await open_pool()
    stopping = asyncio.Event()
    background = asyncio.create_task(run_services(stopping)) if worker else None
    # Without a worker only the histories are read here.
    warming = asyncio.create_task(warm_up() if worker else warm_up_history())
    server = _Server(_config(), on_ready)
    try:
        await server.serve([listening])
    finally:
        stopping.set()
        warming.cancel()
        if background is not None:
            await background
        await harness.close()
        await close_pool()
        await asyncio.to_thread(telemetry.stop)


async def run_alone() -> None:
    """Run the background services until SIGTERM or SIGINT."""
    telemetry.start()
    await open_pool()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    warming = asyncio.create_task(warm_up())
    try:
        await run_services(stopping)
    finally:
        warming.cancel()
        await harness.close()
        await close_pool()
        await asyncio.to_thread(telemetry.stop)


async def run_services(stopping: asyncio.Event) -> None:
    """Run the background services under a lease until `stopping`; when it is lost, all begin again under a new one."""
    while not stopping.is_set():
        try:
            await _one_lease(stopping)
        except psycopg.OperationalError as error:
            log.warning("database_away", error=type(error).__name__)
        except Exception:  # a server without its services would accept what nobody answers
            log.exception("services_broke")
        else:
            continue
        await asyncio.sleep(RESTART_AFTER_S)


async def _one_lease(stopping: asyncio.Event) -> None:
    """Run the services until `stopping`, the loss of their lease, or the failure of one, which is raised."""
    lease, wakeups = Lease(), Wakeups()
    working, keeping = Services(lease, wakeups), Services(lease, wakeups)
    await asyncio.to_thread(lease.acquire)
    lost = asyncio.Event()
    _call_when_lost(lease, lost)
    workers = [asyncio.create_task(service(working)) for service in WORKING]
    keepers = [asyncio.create_task(service(keeping)) for service in KEEPING]
    # The services ask for their wake-ups in their first step, which comes before this task's.
    listening = asyncio.create_task(wakeups.run())
    told = [asyncio.create_task(event.wait()) for event in (stopping, lost)]
    try:
        await asyncio.wait([*told, listening, *workers, *keepers], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Turns that end now still use their workspaces.
        results = await _stop(working, workers) + await _stop(keeping, keepers)
        await end([*told, listening])
        await asyncio.to_thread(lease.release)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _call_when_lost(lease: Lease, lost: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def tell() -> None:
        loop.call_soon_threadsafe(lost.set)

    lease.on_lost(tell)


async def _stop(services: Services, running: list[asyncio.Task[None]]) -> list[BaseException | None]:
    services.stopping.set()
    services.wakeups.wake_all()
    return await asyncio.gather(*running, return_exceptions=True)


class _Server(uvicorn.Server):
    """uvicorn, which says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, without raising them again afterwards as uvicorn does: there is more to end than it."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in STOP_SIGNALS:
            # From here on the process is stopping anyway; a second Ctrl-C must not cut that short.
            loop.add_signal_handler(number, log.info, "stopping")

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]  # a wider type is enough
        """Begin to listen."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            self._on_ready()


def _config() -> uvicorn.Config:
    return uvicorn.Config(
        "gateway.asgi:application",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws=ChatProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
