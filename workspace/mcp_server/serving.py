"""Run the server until it is told to stop."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

from mcp_server.activity import Activity
from mcp_server.allocator import give_back_what_is_freed
from mcp_server.deployments.stepper import Stepper
from mcp_server.options import Options
from mcp_server.server import build_server
from mcp_server.tokens import KeyRing, Verifier
from mcp_server.uploads import AT_ONCE, Uploads
from mcp_server.web import WorkspaceApp, mcp_app
from mcp_server.workspace import Choices, Workspace, open_workspace

# What is in flight at SIGTERM may end; after this it is cut. Every store survives being cut.
SHUTDOWN_S = 5

# Far above one gateway's connections, far below what would fill 512 MiB.
MAX_CONNECTIONS = 256

LOOPBACK = "127.0.0.1"

logger = logging.getLogger(__name__)


class AnnouncingServer(uvicorn.Server):
    """Calls `announce` once, when it has begun to listen."""

    def __init__(self, config: uvicorn.Config, *, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then raise SystemExit(0). Raises WorkspaceError or OSError when it can't begin."""
    give_back_what_is_freed()
    # uvicorn raises the signal that stopped it once more, for the handler that was there before: without one the
    # process would die of it before the database is closed (uvicorn.Server.capture_signals).
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    verifier = Verifier(KeyRing(options.public_key), user=options.user)
    if options.unconfined:
        logger.warning(
            "UNCONFINED: where this kernel can't confine strategy code, it runs with all rights of this account"
        )
    workspace = open_workspace(
        options.data,
        user=options.user,
        tier=options.tier,
        unconfined=options.unconfined,
        choices=Choices(quota_bytes=options.quota_bytes, embeddings=options.embeddings),
    )
    stepper = Stepper(workspace.desk)
    workspace.catalogue.on_new_bars(stepper.wake)
    stepper.start()
    try:
        _run(options, workspace, verifier)
    finally:
        stepper.stop()
        workspace.close()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _run(options: Options, workspace: Workspace, verifier: Verifier) -> None:
    listeners = [_listen(options.host, options.port), _listen(LOOPBACK, options.activity_port)]
    port, activity_port = (listener.getsockname()[1] for listener in listeners)
    activity = _activity_of(workspace)
    # It would end every stream at SIGTERM, within half a second, although its call is not done yet.
    AppStatus.enable_automatic_graceful_drain = False
    server = build_server(workspace, activity)
    if options.conformance_fixtures:
        from mcp_server.conformance.fixtures import mount  # noqa: PLC0415 - no image has it

        mount(server)
    app = WorkspaceApp(
        Uploads(mcp_app(server, host=options.host), at_once=AT_ONCE[options.tier]),
        verifier=verifier,
        activity=activity,
        activity_port=activity_port,
    )

    def announce() -> None:
        _collect_garbage_from_now_on()
        if options.ready_file:
            write_whole(options.ready_file, {"pid": os.getpid(), "port": port, "activity_port": activity_port})
        logger.info("Listening on %s port %d, activity on port %d", options.host, port, activity_port)

    AnnouncingServer(_config(app), announce=announce).run(sockets=listeners)


def _collect_garbage_from_now_on() -> None:
    # What the start made stays to the end: no collection needs to look at it again.
    gc.freeze()
    gc.enable()


def _activity_of(workspace: Workspace) -> Activity:
    activity = Activity()
    deployments = workspace.desk.store
    activity.count("deployments", lambda: deployments.live().running)
    activity.count("kept", lambda: deployments.live().kept)
    activity.count("backtests", lambda: workspace.sandbox.running)
    return activity


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named (asyncio.base_events._set_nodelay), which
    # socket.create_server leaves out: each answer then waited 40 ms for the peer's delayed ACK.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def write_whole(path: Path, content: dict[str, int]) -> None:
    """Write JSON so that a reader sees all of it or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(path)
