"""Run the gateway: the web server, the background services beside it, or these alone."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
import uvicorn

from agents import harness, telemetry
from agents import worker as agents_worker
from agents.history import warm_up as warm_up_history
from agents.model_pool import warm_up
from agents.schedules import service as schedules
from channels_app import deliveries, inbox_desk
from gateway import garbage
from gateway.db import close_pool, open_pool
from gateway.ending import end
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups
from gateway.websocket_protocol import ChatProtocol
from provisioning import keeper
from provisioning.workspaces import close_workspaces

Service = Callable[[Services], Coroutine[Any, Any, None]]

WORKING: tuple[Service, ...] = (agents_worker.run, deliveries.run, inbox_desk.run, schedules.run)
KEEPING: tuple[Service, ...] = (keeper.run,)
# The protocol's limits, DESIGN section 3: 64 KiB a frame, a ping every 20 s, 60 s of silence.
MAX_FRAME_BYTES = 64 * 1024
PING_EVERY_S = 20.0
PONG_WITHIN_S = 40.0
# What runs when the process is told to stop may take this long to end.
GRACEFUL_S = 5
# Longer than proxies keep theirs (60 s is usual): one that sends on a connection which we close just then gets no answer, and
# who posts often does not connect anew each time.
KEEP_ALIVE_S = 75
RESTART_AFTER_S = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


async def serve(
    listening: socket.socket, *, worker: bool, on_ready: Callable[[], object], on_stop: Callable[[], object]
) -> None:
    """Serve HTTP and WebSocket until SIGTERM or SIGINT, with the background services beside it if `worker`.

    `on_stop` is called at the first of these signals. The socket is closed at the end.
    """
    telemetry.start()
    await open_pool()
    stopping = asyncio.Event()
    background = asyncio.create_task(run_services(stopping)) if worker else None
    # Without a worker only the histories are read here.
    warming = asyncio.create_task(_warmed(warm_up() if worker else warm_up_history()))
    server = _Server(_config(), on_ready, on_stop)
    try:
        await server.serve([listening])
    finally:
        stopping.set()
        warming.cancel()
        if background is not None:
            await background
        await harness.close()
        await close_workspaces()
        await close_pool()
        await asyncio.to_thread(telemetry.stop)


async def run_alone(*, on_stop: Callable[[], object]) -> None:
    """Run the background services until SIGTERM or SIGINT; `on_stop` is called at the first of them."""
    telemetry.start()
    await open_pool()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            on_stop()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    warming = asyncio.create_task(_warmed(warm_up()))
    try:
        await run_services(stopping)
    finally:
        warming.cancel()
        await harness.close()
        await close_workspaces()
        await close_pool()
        await asyncio.to_thread(telemetry.stop)


async def _warmed(warm_up: Coroutine[Any, Any, None]) -> None:
    """Bring in what the first turn needs; it stays as long as the process does."""
    garbage.rest()
    try:
        await warm_up
    finally:
        garbage.set_apart()


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
    """uvicorn, which says when it listens and when it is told to stop."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object], on_stop: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready, self._on_stop = on_ready, on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, without raising them again afterwards as uvicorn does: there is more to end than it."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        yield
        for number in STOP_SIGNALS:
            # From here on the process is stopping anyway; a second Ctrl-C must not cut that short.
            loop.add_signal_handler(number, log.info, "stopping")

    def _stop(self, number: int) -> None:
        first = not self.should_exit
        self.handle_exit(number, None)
        if first:
            self._on_stop()

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
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
