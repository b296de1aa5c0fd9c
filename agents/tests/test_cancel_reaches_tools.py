"""Stopping an answer stops what it has begun in the workspace. Source: DESIGN section 2: `cancel` stops a turn."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents import harness
from agents.events import Event
from agents.mcp.pool import pool
from agents.tests.doubles.http_server import scripted_server
from agents.tests.talks import Talk, calls, openai, says

pytestmark = pytest.mark.usefixtures("nothing_left")

ENDLESS = "def signals(bars):\n    while True:\n        pass\n"


async def test_a_stopped_answer_ends_its_backtest(talk: Talk, settings: Any, workspace_folder: Path) -> None:
    await pool().session(talk.licence).call_tool("save_strategy", {"name": "endless", "source": ENDLESS})
    activity = json.loads((workspace_folder / "ready.json").read_text(encoding="utf-8"))["activity_port"]
    begun = asyncio.Event()

    async def emit(event: Event) -> None:
        if event.type == "tool_progress":
            begun.set()

    async with scripted_server(
        calls("run_backtest", {"strategy": "endless", "symbol": "SPX"}), says("Done.")
    ) as server:
        openai(settings, server)
        answering = asyncio.create_task(harness.run_agent(talk.request("Test it"), emit))
        async with asyncio.timeout(60):
            await begun.wait()
        answering.cancel()
        await asyncio.wait([answering])

    assert answering.cancelled()
    async with httpx.AsyncClient() as http, asyncio.timeout(20):
        while (await http.get(f"http://127.0.0.1:{activity}/activity")).json()["in_flight"]:
            pass
