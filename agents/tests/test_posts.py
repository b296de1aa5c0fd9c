"""Source: specification of MCP 2026-07-28, Streamable HTTP: an answer is one JSON message, or a stream that ends with it."""

import json

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation
from pydantic import ValidationError

from agents.mcp.poster import posting
from agents.mcp.posts import Posts
from agents.tests.doubles.http_server import Asked, Reply, scripted_server, sse
from agents.tests.doubles.mcp_double import VERSION, event, text


def streamed(asked_id: str, *before: dict[str, object]) -> Reply:
    done = {"jsonrpc": "2.0", "id": asked_id, "result": text("done")}
    return sse(*(event(message) for message in before), event(done))


def answered(**message: object) -> Reply:
    return Reply(body=json.dumps({"jsonrpc": "2.0", "id": "post-1", **message}).encode())


async def call(reply: Reply, heard: list[str]) -> tuple[str, Asked]:
    async with scripted_server(reply) as server, posting(f"{server.url}/mcp", lambda: "token") as poster:
        client = Implementation(name="test", version="1")
        posts = Posts(poster, version=VERSION, client=client, heard=heard.append)
        found = await posts.call_tool("look", {"at": "this"})
    return found.content[0].text, server.asked[0]  # type: ignore[union-attr]  # each test's answer is a text


@pytest.fixture
def heard() -> list[str]:
    return []


async def test_a_request_says_to_whom_what_and_in_which_version(heard: list[str]) -> None:
    said, asked = await call(answered(result=text("done")), heard)

    assert said == "done"
    assert (asked.headers["mcp-protocol-version"], asked.headers["mcp-method"]) == (VERSION, "tools/call")
    assert (asked.headers["mcp-name"], asked.headers["authorization"]) == ("look", "Bearer token")
    assert asked.body["params"]["arguments"] == {"at": "this"}
    assert asked.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == VERSION


async def test_of_a_stream_the_notifications_are_heard_and_the_answer_is_taken(heard: list[str]) -> None:
    news: dict[str, object] = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    said, _ = await call(streamed("post-1", news), heard)

    assert (said, heard) == ("done", ["notifications/tools/list_changed"])


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
async def test_a_stream_ends_its_lines_in_three_ways_and_may_begin_with_a_mark(end: str, heard: list[str]) -> None:
    """Source: WHATWG HTML, 9.2.5: U+2028, U+0085 and separators, which JSON may hold as they are, end no line."""
    said = "one\u2028two\u2029three\x85four\x7f"
    message = json.dumps({"jsonrpc": "2.0", "id": "post-1", "result": text(said)}, ensure_ascii=False)
    stream = f"\ufeffdata: {message}{end}{end}".encode()

    assert (await call(sse(stream), heard))[0] == said


@pytest.mark.parametrize("other", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
async def test_a_control_character_ends_no_line_of_a_stream(other: str, heard: list[str]) -> None:
    done = json.dumps({"jsonrpc": "2.0", "id": "post-1", "result": text("done")})
    stream = f": a comment{other}data: no JSON\ndata: {done}\n\n".encode()

    assert (await call(sse(stream), heard))[0] == "done"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answered(error={"code": -32602, "message": "No."}), -32602),
        (
            Reply(
                400, json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "No."}}).encode()
            ),
            -32600,
        ),
        (answered(error={"message": "No code."}), -32603),
        (answered(result="no object"), -32603),
        (streamed("another's"), -32603),
        (Reply(body=b"[1]"), -32603),
        (Reply(body=b"no JSON"), -32700),
        (Reply(body=b"[" * 100_000), -32700),
        (Reply(503, b""), -32700),
    ],
)
async def test_what_is_no_answer_is_an_error(reply: Reply, code: int, heard: list[str]) -> None:
    with pytest.raises(MCPError) as failed:
        await call(reply, heard)

    assert failed.value.error.code == code


async def test_a_result_out_of_form_is_refused(heard: list[str]) -> None:
    with pytest.raises(ValidationError):
        await call(answered(result={"content": "no list", "resultType": "complete"}), heard)
