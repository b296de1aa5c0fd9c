"""The process: what it answers where, how it starts and stops."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context

from mcp_server.activity import Activity
from mcp_server.options import parse_options
from mcp_server.server import build_server
from mcp_server.serving import _listen
from mcp_server.tests.harness import (
    TLS,
    USER,
    WORKSPACE,
    RunningServer,
    call,
    get,
    pem_of,
    post,
    running_server,
    signed,
)
from mcp_server.tokens import KeyRing, Verifier
from mcp_server.web import WorkspaceApp, mcp_app
from mcp_server.workspace import open_workspace

ARGUMENTS = ["--data", "d", "--port", "1", "--activity-port", "2", "--user", "u", "--public-key", "k", "--tier", "pro"]


def test_health_is_open_and_says_nothing_else(server: RunningServer) -> None:
    answer = get(f"{server.url}/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_and_activity_can_only_be_read(server: RunningServer) -> None:
    for url in (f"{server.url}/healthz", server.activity_url):
        answer = post(url, json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        head = httpx2.head(url, verify=TLS)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", "/activity", "/mcp/", "/docs", "/healthz/"])
def test_everything_else_needs_a_token(server: RunningServer, path: str) -> None:
    assert get(server.url + path).status_code == 401


def test_activity_stands_on_its_own_port_only(server: RunningServer) -> None:
    assert get(f"{server.url}/activity", headers=server.bearer()).status_code == 404
    assert set(get(server.activity_url).json()) == {"in_flight", "last_useful", "started", "running", "kept"}
    other = f"http://127.0.0.1:{server.activity_port}/mcp"
    assert post(other, headers=server.bearer(), json={}).status_code == 404


async def test_only_useful_requests_count_as_activity(server: RunningServer) -> None:
    async with server.client() as client:
        start = get(server.activity_url).json()
        await client.list_tools()
        await client.list_resources()
        get(f"{server.url}/healthz")
        assert get(server.activity_url).json() == start

        await call(client, "get_preferences")
        called = get(server.activity_url).json()
        await client.read_resource("context://profile")
        read = get(server.activity_url).json()

    assert start["last_useful"] < called["last_useful"] < read["last_useful"]
    assert read["in_flight"] == 0


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
def test_a_body_over_four_megabytes_is_refused(server: RunningServer, declared: bool) -> None:
    size = 4 * 1024 * 1024 + 1
    body = b"x" * size if declared else (b"x" * 65536 for _ in range(size // 65536 + 1))

    answer = post(f"{server.url}/mcp", headers={**server.bearer(), "content-type": "application/json"}, content=body)

    assert answer.status_code == 413
    assert get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a": "\\ud800"}', b"\xff\xfe", b"null"])
def test_a_body_that_is_no_request_is_answered_without_a_crash(server: RunningServer, body: bytes) -> None:
    headers = {
        **server.bearer(),
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    answer = post(f"{server.url}/mcp", headers=headers, content=body)

    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


def test_blanks_around_a_headers_value_are_no_part_of_it(server: RunningServer) -> None:
    """Source: RFC 9110, 5.5, and the conformance suite's http-header-validation."""
    prefix = "io.modelcontextprotocol/"
    meta = {f"{prefix}protocolVersion": "2026-07-28", f"{prefix}clientCapabilities": {}}
    params = {"name": "list_instruments", "arguments": {}, "_meta": meta}
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "  list_instruments \t ",
    }
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})

    connection.request("POST", "/mcp", body, {**server.bearer(), **headers})

    assert connection.getresponse().status == 200
    connection.close()


def test_a_foreign_host_or_origin_is_refused_on_loopback(server: RunningServer) -> None:
    """Source: DNS rebinding, MCP specification on transports."""
    for header in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        headers = {**server.bearer(), "content-type": "application/json", **header}
        assert post(f"{server.url}/mcp", headers=headers, json={}).status_code in (403, 421)


async def test_progress_reaches_the_client_and_the_call_counts_as_in_flight(tmp_path: Path) -> None:
    """The real app with one more tool, which tells how far it is and waits to be let go."""
    key, going_on = Ed25519PrivateKey.generate(), asyncio.Event()
    (tmp_path / "key.pem").write_bytes(pem_of(key))
    workspace, activity = open_workspace(tmp_path / "data", user=USER, tier="pro"), Activity()
    server = build_server(workspace, activity)

    activity.know(["work"])

    @server.tool(description="Work slowly.")
    async def work(context: Context) -> str:
        await context.report_progress(1, 2, "half")
        await going_on.wait()
        return "done"

    listener = _listen("127.0.0.1", 0)
    verifier = Verifier(KeyRing(tmp_path / "key.pem"), user=USER)
    app = WorkspaceApp(mcp_app(server, host="127.0.0.1"), verifier=verifier, activity=activity, activity_port=0)
    web = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        assert activity.in_flight == 1
        going_on.set()

    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    headers = {"Authorization": f"Bearer {signed(key)}"}
    async with (
        httpx2.AsyncClient(headers=headers, verify=TLS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("work", {}, progress_callback=hear, read_timeout_seconds=30)
    web.should_exit = True
    await serving
    workspace.database.close()

    assert result.content[0].text == "done"  # type: ignore[union-attr]
    assert told == [(1, 2, "half")]
    assert activity.in_flight == 0


def test_the_ready_file_names_the_process_and_its_ports(server: RunningServer) -> None:
    ready = json.loads((server.public_key.parent / "ready.json").read_text())

    assert ready == {"pid": server.process.pid, "port": server.port, "activity_port": server.activity_port}


def test_sigterm_ends_it_cleanly_with_the_log_folded_into_the_file(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    with running_server(tmp_path, key) as server:
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(timeout=60) == 0
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["workspace.sqlite3"]


def test_the_folder_and_its_files_are_the_users_alone(server: RunningServer) -> None:
    for path in (server.data, *server.data.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    ("content", "told"), [(None, "can't be read"), ("nothing", "holds no PEM public key")], ids=["missing", "empty"]
)
def test_it_does_not_start_without_a_public_key(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "gateway.pem").write_text(content)
    arguments = ["--data", tmp_path, "--port", 0, "--activity-port", 0, "--user", USER, "--tier", "pro"]
    arguments += ["--public-key", tmp_path / "gateway.pem"]

    ended = subprocess.run(
        [sys.executable, "-m", "mcp_server", *map(str, arguments)],
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_each_option_is_also_an_environment_variable() -> None:
    environ = {
        f"WORKSPACE_{flag.removeprefix('--').replace('-', '_').upper()}": value
        for flag, value in zip(ARGUMENTS[::2], ARGUMENTS[1::2], strict=True)
    }

    assert parse_options([], environ) == parse_options(ARGUMENTS, {})
    assert parse_options(["--port", "7"], environ).port == 7


def test_strategy_code_is_confined_unless_the_server_is_told() -> None:
    assert not parse_options(ARGUMENTS, {}).unconfined
    assert not parse_options(ARGUMENTS, {"WORKSPACE_UNCONFINED": "0"}).unconfined
    assert parse_options([*ARGUMENTS, "--unconfined"], {}).unconfined
    assert parse_options(ARGUMENTS, {"WORKSPACE_UNCONFINED": "1"}).unconfined


def test_a_server_that_may_run_code_unconfined_says_so_at_start(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    with running_server(tmp_path, key, environ={"WORKSPACE_UNCONFINED": "1"}) as server:
        assert "WARNING" in server.said
        assert "UNCONFINED" in server.said


@pytest.mark.parametrize("place", ["command line", "environment"])
@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--port", "70000", "'70000' is no port, which is 0 to 65535"),
        ("--port", "x", "'x' is no port"),
        ("--port", "-1", "'-1' is no port"),
        ("--tier", "gold", "'gold' is none of free, pro, enterprise"),
        ("--user", " ", "it is empty"),
    ],
)
def test_a_wrong_option_ends_with_a_hint(
    place: str, flag: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if place == "command line":
        arguments, environ = [*ARGUMENTS, f"{flag}={value}"], {}
    else:
        at = ARGUMENTS.index(flag)
        arguments, environ = ARGUMENTS[:at] + ARGUMENTS[at + 2 :], {f"WORKSPACE_{flag[2:].upper()}": value}
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments, environ)

    assert ended.value.code == 2
    assert f"argument {flag}: {told}" in capsys.readouterr().err


async def test_health_is_answered_within_a_probes_time_while_long_computations_go_on(
    server: RunningServer, client: Client
) -> None:
    """Source: the pod's probes give an answer 2 s, and who answers none for long is replaced with all that it works at."""
    endless = "def signals(bars):\n    while True:\n        pass\n"
    await call(client, "save_strategy", name="endless", source=endless)
    indicators = [{"name": name} for name in ("sma", "ema", "rsi", "macd", "atr")]
    work = [
        asyncio.create_task(client.call_tool("run_backtest", {"strategy": "endless", "symbol": "SPX"})),
        *(
            asyncio.create_task(call(client, "compute_indicators", symbol="SPX", indicators=indicators))
            for _ in range(8)
        ),
    ]
    while not all(task.done() for task in work[1:]):
        answer = await asyncio.to_thread(get, f"{server.url}/healthz", timeout=2.0)
        assert answer.status_code == 200
    busy = (await asyncio.to_thread(get, server.activity_url)).json()
    work[0].cancel()
    ended = await asyncio.gather(*work, return_exceptions=True)

    assert busy["in_flight"] == 1
    assert not [each for each in ended[1:] if isinstance(each, BaseException)]
