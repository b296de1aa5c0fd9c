"""Connections to workspaces: kept, bounded in time and bytes, made again when lost.

Source: DESIGN.md, sections 6 and 8; PLATFORMS.md on the MCP SDK (no read timeout, no size limit, scopes that cross tasks).
"""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest

from accounts.licences import Licence
from agents.errors import AgentFailed
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.limits import RESPONSE_BYTES
from agents.mcp.pool import Pool
from agents.tests.doubles.http_server import Asked, Reply, answering_server, sse
from agents.tests.doubles.mcp_double import McpDouble, event, mcp_double, progress_then, result, text, tool
from agents.tests.licences import licence

LicenceFor = Callable[..., Licence]


@pytest.fixture
def licence_for(settings: Any, signing_key: str) -> LicenceFor:
    """A licence that points at a double."""

    def pointing(double: McpDouble, user: str = "demo-pro") -> Licence:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        return licence(user, url=double.url)

    return pointing


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    kept = Pool()
    yield kept
    await kept.close()


async def soon(event_: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event_.wait()


async def test_a_connection_is_kept_and_the_tools_are_listed_once(pool: Pool, licence_for: LicenceFor) -> None:
    async with mcp_double() as double:
        for _ in range(3):
            session = pool.session(licence_for(double))
            await session.tools()
            assert (await session.call_tool("look", {})).text == "done"

        assert (double.count("server/discover"), double.count("tools/list")) == (1, 1)


async def test_each_user_has_a_connection_with_tokens_of_their_own(pool: Pool, licence_for: LicenceFor) -> None:
    """Source: DESIGN.md, Workspaces: `sub` is the user id."""
    async with mcp_double() as double:
        for user in ("demo-pro", "demo-free"):
            await pool.session(licence_for(double, user)).call_tool("look", {})

        tokens = [asked.headers["authorization"].removeprefix("Bearer ") for asked in double.server.asked]
    subjects = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    assert (set(subjects[:3]), set(subjects[3:])) == ({"demo-pro"}, {"demo-free"})


async def test_users_who_come_at_once_share_no_connection_and_one_user_makes_one(
    pool: Pool, licence_for: LicenceFor
) -> None:
    async with mcp_double() as double:
        await asyncio.gather(*(pool.session(licence_for(double)).call_tool("look", {}) for _ in range(10)))

        assert double.count("server/discover") == 1


async def test_a_call_that_hangs_is_stopped_at_its_deadline_and_the_server_hears_of_it(
    pool: Pool, licence_for: LicenceFor
) -> None:
    async with mcp_double(call=lambda _asked: sse(b": working\n\n", held=True)) as double:
        session = pool.session(licence_for(double))
        with pytest.raises(CallFailed) as failed:
            await session.call_tool("look", {}, deadline_s=0.3)
        await soon(double.server.left)

        assert failed.value.reason is Reason.TIMEOUT
        double.call = lambda asked: result(asked, text("back"))
        assert (await session.call_tool("look", {})).text == "back"
        assert double.count("server/discover") == 1


async def test_cancelling_a_call_reaches_the_server(pool: Pool, licence_for: LicenceFor) -> None:
    called = asyncio.Event()

    def hang(_asked: Asked) -> Reply:
        called.set()
        return Reply(held=True)

    async with mcp_double(call=hang) as double:
        running = asyncio.create_task(pool.session(licence_for(double)).call_tool("look", {}))
        await soon(called)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await soon(double.server.left)


@pytest.mark.parametrize("as_stream", [False, True])
async def test_a_response_over_the_limit_is_not_read_to_its_end(
    pool: Pool, licence_for: LicenceFor, as_stream: bool
) -> None:
    """The SDK accepts any size: 50 MB cost it 569 MB of memory."""

    def flood(asked: Asked) -> Reply:
        whole = {"jsonrpc": "2.0", "id": asked.body["id"], "result": text("x" * RESPONSE_BYTES)}
        return sse(event(whole)) if as_stream else Reply(body=json.dumps(whole).encode())

    async with mcp_double(call=flood) as double:
        session = pool.session(licence_for(double))
        with pytest.raises(CallFailed) as failed:
            await session.call_tool("look", {})

        assert failed.value.reason is Reason.TOO_LARGE
        double.call = lambda asked: result(asked, text("small"))
        assert (await session.call_tool("look", {})).text == "small"


async def test_a_compressed_response_is_refused(pool: Pool, licence_for: LicenceFor) -> None:
    """Its bytes on the wire say nothing of its size."""

    def bomb(asked: Asked) -> Reply:
        whole = result(asked, text("x" * 1000))
        return Reply(body=gzip.compress(whole.body), headers=(("Content-Encoding", "gzip"),))

    async with mcp_double(tool("look", repeatable=False), call=bomb) as double:
        with pytest.raises(CallFailed) as failed:
            await pool.session(licence_for(double)).call_tool("look", {})

    assert failed.value.reason is Reason.BROKEN


async def test_a_model_sees_at_most_64_kib_without_control_characters(pool: Pool, licence_for: LicenceFor) -> None:
    """Source: DESIGN.md, Tools: 64 KiB of text to the model, cleaned of control characters."""
    nasty = "\x1b[31mred\x1b[0m\u202egnp\u00ad.exe\x00\tkept\r\n" + "é" * 100_000
    async with mcp_double(call=lambda asked: result(asked, text(nasty))) as double:
        outcome = await pool.session(licence_for(double)).call_tool("look", {})

    assert outcome.text.startswith("redgnp.exe\tkept\n")
    assert outcome.text.endswith(" bytes are shown]")
    assert len(outcome.text.encode()) <= 64 * 1024


async def test_a_server_that_restarts_is_connected_to_again(pool: Pool, licence_for: LicenceFor) -> None:
    async with mcp_double(tool("look", repeatable=False)) as double:
        session = pool.session(licence_for(double))
        await session.call_tool("look", {})
        await double.server.stop()
        await double.server.empty.wait()
        with pytest.raises(CallFailed) as failed:
            await session.call_tool("look", {})
        await double.server.start()

        assert failed.value.reason is Reason.UNREACHABLE
        assert (await session.call_tool("look", {})).text == "done"


@pytest.mark.parametrize(("repeatable", "sent"), [(True, 2), (False, 1)])
async def test_a_call_that_was_lost_is_sent_again_only_when_that_is_harmless(
    pool: Pool, licence_for: LicenceFor, repeatable: bool, sent: int
) -> None:
    """A broken response stream loses the call, which may have done its work."""

    def second_time_lucky(asked: Asked) -> Reply:
        return result(asked, text("second")) if len(double.calls) > 1 else sse(b": working\n\n", cut=True)

    async with mcp_double(tool("look", repeatable=repeatable), call=second_time_lucky) as double:
        session = pool.session(licence_for(double))
        if repeatable:
            assert (await session.call_tool("look", {})).text == "second"
        else:
            with pytest.raises(CallFailed) as failed:
                await session.call_tool("look", {})
            assert failed.value.reason is Reason.BROKEN

        assert len(double.calls) == sent


async def test_one_lost_call_leaves_the_users_other_calls_alone(pool: Pool, licence_for: LicenceFor) -> None:
    """The SDK ends its whole client when a POST fails."""

    def one_breaks(asked: Asked) -> Reply:
        if asked.body["params"]["name"] == "breaks":
            return Reply(parts=(b"{",), cut=True)
        return progress_then(asked, [{"progress": 1}], text("fine"))

    async with mcp_double(tool("breaks", repeatable=False), tool("look"), call=one_breaks) as double:
        session = pool.session(licence_for(double))
        await session.tools()
        broken, fine = await asyncio.gather(
            session.call_tool("breaks", {}), session.call_tool("look", {}), return_exceptions=True
        )

        assert isinstance(broken, CallFailed)
        assert not isinstance(fine, BaseException)
        assert fine.text == "fine"
        assert double.count("server/discover") == 1


async def test_progress_is_passed_on(pool: Pool, licence_for: LicenceFor) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    steps: list[dict[str, Any]] = [{"progress": 1, "total": 2, "message": "half"}, {"progress": 2, "total": 2}]
    async with mcp_double(call=lambda asked: progress_then(asked, steps, text("done"))) as double:
        await pool.session(licence_for(double)).call_tool("look", {}, on_progress=on_progress)

    assert seen == [(1.0, 2.0, "half"), (2.0, 2.0, None)]


async def test_a_server_that_refuses_our_token_is_named_as_the_cause(pool: Pool, licence_for: LicenceFor) -> None:
    async with mcp_double() as double:
        double.instead = lambda _asked: Reply(401, b'{"error": "invalid_token"}')
        with pytest.raises(CallFailed) as failed:
            await pool.session(licence_for(double)).tools()

    assert failed.value.reason is Reason.DENIED


async def test_the_token_does_not_follow_a_redirect_to_another_server(pool: Pool, licence_for: LicenceFor) -> None:
    async with answering_server(lambda _asked: Reply()) as thief, mcp_double() as double:
        elsewhere = Reply(307, headers=(("Location", f"{thief.url}/mcp"),))
        double.instead = lambda _asked: elsewhere
        with pytest.raises(CallFailed):
            await pool.session(licence_for(double)).tools()

        assert thief.asked == []


async def test_a_proxy_of_the_environment_is_not_used(
    pool: Pool, licence_for: LicenceFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with mcp_double() as double:
        assert (await pool.session(licence_for(double)).call_tool("look", {})).text == "done"


async def test_the_tools_are_listed_again_when_the_server_says_that_they_changed(
    pool: Pool, licence_for: LicenceFor
) -> None:
    def changed(asked: Asked) -> Reply:
        note = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        done = {"jsonrpc": "2.0", "id": asked.body["id"], "result": text("done")}
        return sse(event(note), event(done))

    async with mcp_double(call=changed) as double:
        session = pool.session(licence_for(double))
        await session.call_tool("look", {})
        double.tools.append(tool("added"))

        assert (await session.tools()).has("added")


async def test_an_idle_connection_is_closed_and_leaves_nothing_behind(licence_for: LicenceFor) -> None:
    pool = Pool(idle_s=0.1)
    async with mcp_double() as double:
        await pool.session(licence_for(double)).call_tool("look", {})
        await soon(double.server.empty)
        await _no_tasks()

        assert (await pool.session(licence_for(double)).call_tool("look", {})).text == "done"
        assert double.count("server/discover") == 2
    await pool.close()
    await _no_tasks()


async def test_a_pool_forgets_the_users_who_left(licence_for: LicenceFor) -> None:
    """Thousands of users come and go in a process's life."""
    pool = Pool(idle_s=0.05)
    async with mcp_double() as double:
        await asyncio.gather(*(pool.session(licence_for(double, f"user-{n}")).call_tool("look", {}) for n in range(20)))
        await soon(double.server.empty)
        await _no_tasks()

    assert pool.size == 0


async def test_a_server_set_anew_by_staff_is_used_at_once(pool: Pool, licence_for: LicenceFor) -> None:
    async with mcp_double() as old, mcp_double(tool("added")) as new:
        assert (await pool.session(licence_for(old)).tools()).has("look")
        assert (await pool.session(licence_for(new)).tools()).has("added")


async def test_a_call_longer_than_the_idle_time_keeps_its_connection(licence_for: LicenceFor) -> None:
    pool = Pool(idle_s=0.05)
    async with mcp_double(call=lambda _asked: Reply(held=True)) as double:
        with pytest.raises(CallFailed) as failed:
            await pool.session(licence_for(double)).call_tool("look", {}, deadline_s=0.4)
    await pool.close()

    assert failed.value.reason is Reason.TIMEOUT


async def test_closing_the_pool_ends_running_calls_and_leaves_nothing_behind(licence_for: LicenceFor) -> None:
    pool, called = Pool(), asyncio.Event()

    def hang(_asked: Asked) -> Reply:
        called.set()
        return Reply(held=True)

    async with mcp_double(tool("look", repeatable=False), call=hang) as double:
        running = asyncio.create_task(pool.session(licence_for(double)).call_tool("look", {}))
        await soon(called)
        await pool.close()
        with pytest.raises(CallFailed):
            await running
    await _no_tasks()


async def test_a_caller_who_gives_up_while_connecting_leaves_nothing_behind(licence_for: LicenceFor) -> None:
    pool = Pool()
    async with mcp_double() as double:
        asked = asyncio.Event()

        def hang(_asked: Asked) -> Reply:
            asked.set()
            return Reply(held=True)

        double.instead = hang
        running = asyncio.create_task(pool.session(licence_for(double)).tools())
        await soon(asked)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await _no_tasks()


async def test_a_url_that_is_not_allowed_fails_with_the_true_cause(pool: Pool, settings: Any) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = ["https://elsewhere.example"]
    with pytest.raises(AgentFailed) as failed:
        await pool.session(licence(url="http://127.0.0.1:9/mcp")).tools()

    assert (failed.value.code, failed.value.retryable) == ("workspace_failed", False)
    assert "not allowed" in failed.value.message


async def _no_tasks() -> None:
    """Wait until the clients' tasks have ended."""
    clients = {task for task in asyncio.all_tasks() if "mcp" in task.get_name()}
    if clients:
        _, running = await asyncio.wait(clients, timeout=60)
        assert running == set()
