"""The gateway of the test's own event loop, and a worker that does what it is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.routing import get_default_application

from agents.tests.engine import ScriptedBrain, TestWorker
from channels_app.tests.live import ORIGIN, serving

TOOL_SERVER = "http://127.0.0.1:9/mcp"


@pytest.fixture
def licensed(users: dict[str, str], settings: Any) -> dict[str, str]:
    """The named users, whose tools are a server set by staff: no workspace is started."""
    from accounts.models import UserLicence

    settings.MCP_SERVER_URL_ALLOWLIST = [TOOL_SERVER]
    UserLicence.objects.update(mcp_server_url=TOOL_SERVER)
    return users


@pytest.fixture
async def gateway(licensed: dict[str, str], pool: None, data_dir: Any, settings: Any) -> AsyncIterator[str]:
    """`host:port` of the gateway's ASGI application behind uvicorn."""
    # The development issuer signs with DEBUG only, which pytest-django turns off.
    settings.DEBUG, settings.ALLOWED_ORIGINS = True, [ORIGIN]
    async with serving(get_default_application()) as host:
        yield host


@pytest.fixture
async def worker(pool: None) -> TestWorker:
    """A worker process with a scripted brain."""
    return await TestWorker(ScriptedBrain()).begin()
