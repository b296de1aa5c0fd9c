"""How long a tool may take. Source: DESIGN.md, Agent: wall clock each; a tool that reports progress is at work.

Time is the event loop's own, which the tests move on by hand.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from accounts.licences import Licence
from agents.mcp.errors import CallFailed
from agents.mcp.limits import WORKING_TOOL_S
from agents.mcp.patience import Patience
from agents.mcp.pool import pool
from agents.tests.doubles.http_server import Asked, Reply
from agents.tests.doubles.mcp_double import McpDouble, mcp_double, progress_then
from agents.tests.licences import licence
from provisioning.backends._kubernetes.drift import DOWN_KEPT


class MovedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is ahead by what the test says."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=MovedLoop) as runner:
        runner.run(work)


async def work(patience: Patience, *, reports: int, every_s: float) -> None:
    """Report so many times; then fall silent."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MovedLoop)
    async with patience.bounded():
        for _ in range(reports):
            loop.ahead += every_s
            patience.alive()
            await asyncio.sleep(0)
        loop.ahead += 61
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("reports", "every_s", "verdict"),
    [
        (0, 0, "It did not finish within 60 s and was stopped."),
        (9, 59, "It reported no progress for 60 s and was stopped."),
        (30, 59, "It did not finish within 600 s and was stopped."),
    ],
    ids=["a silent one", "one that falls silent", "one that never ends"],
)
def test_a_call_lives_as_long_as_it_reports_progress(reports: int, every_s: float, verdict: str) -> None:
    async def scenario() -> None:
        patience = Patience(60, whole_s=600)
        with pytest.raises(TimeoutError):
            await work(patience, reports=reports, every_s=every_s)
        assert patience.verdict == verdict

    run(scenario())


def test_a_report_that_comes_late_is_nothing() -> None:
    async def scenario() -> None:
        patience = Patience(60, whole_s=600)
        async with patience.bounded():
            pass
        patience.alive()

    run(scenario())


def test_a_caller_that_waits_longer_than_that_for_the_first_report_may() -> None:
    async def scenario() -> None:
        patience = Patience(900, whole_s=600)
        with pytest.raises(TimeoutError):
            await work(patience, reports=20, every_s=100)
        assert patience.verdict == "It did not finish within 900 s and was stopped."

    run(scenario())


@pytest.mark.usefixtures("nothing_left")
async def test_a_tool_of_the_workspace_is_given_up_once_it_reports_no_more(signing_key: str, settings: Any) -> None:
    def halfway(asked: Asked) -> Reply:
        whole = progress_then(asked, [{"progress": 1, "total": 2}], {})
        return Reply(content_type=whole.content_type, parts=whole.parts[:1], held=True)

    seen: list[float] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with mcp_double(call=halfway) as double:
        session = pool().session(licence_for(double, settings))
        with pytest.raises(CallFailed, match=r"reported no progress for 0\.3 s"):
            await session.call_tool("look", {}, deadline_s=0.3, on_progress=watch)
        async with asyncio.timeout(20):
            await double.server.left.wait()

    assert seen == [1]


def test_no_call_is_in_flight_for_longer_than_a_workspace_that_nobody_reaches_is_kept() -> None:
    """Source: docs/adr/0015; one whose sidecar crashes is scaled to 0 then, though its server may run."""
    assert DOWN_KEPT.total_seconds() >= WORKING_TOOL_S


def licence_for(double: McpDouble, settings: Any) -> Licence:
    settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
    return licence("demo-pro", url=double.url)
