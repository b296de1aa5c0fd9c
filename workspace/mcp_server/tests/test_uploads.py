"""Large requests take turns, so that twenty at once stay within a small workspace's memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from mcp_server import uploads
from mcp_server.tests.harness import RunningServer, post
from mcp_server.uploads import SMALL_BYTES, Uploads

LARGE = SMALL_BYTES + 1


class Inner:
    """An app that reads the whole body and answers when it is let go."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.read: list[int] = []
        self.going_on = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.read.append(size)
        await self.going_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.inside -= 1


class Peer:
    """A client's side of one request, its body in parts."""

    def __init__(self, size: int, *, declared: bool = True, method: str = "POST") -> None:
        headers = [(b"content-length", str(size).encode())] if declared else []
        self.scope: Scope = {"type": "http", "method": method, "headers": headers}
        self.left = [bytes(min(65536, size - at)) for at in range(0, size, 65536)]
        self.said: list[Message] = []

    async def receive(self) -> Message:
        body = self.left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.left)}

    async def send(self, message: Message) -> None:
        self.said.append(message)

    @property
    def status(self) -> int:
        return int(self.said[0]["status"])


def asked(app: Uploads, peer: Peer) -> asyncio.Task[None]:
    return asyncio.ensure_future(app(peer.scope, peer.receive, peer.send))


async def settled() -> None:
    """All that can go on without anybody's doing has gone on."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
async def test_only_so_many_large_requests_are_read_at_once(declared: bool) -> None:
    """Source: twenty uploads of 2 MB at once took 649 MB of a free workspace's 512."""
    inner = Inner()
    app = Uploads(inner, at_once=2)
    peers = [Peer(LARGE, declared=declared) for _ in range(20)]
    tasks = [asked(app, peer) for peer in peers]
    await settled()

    assert (inner.inside, inner.read) == (2, [LARGE] * 2)
    assert [len(peer.left) for peer in peers[2:]] == [3] * 18, "those that wait are not read"
    inner.going_on.set()
    await asyncio.gather(*tasks)

    assert {peer.status for peer in peers} == {200}
    assert inner.most == 2


async def test_small_requests_wait_for_no_large_one() -> None:
    inner = Inner()
    app = Uploads(inner, at_once=1)
    tasks = [asked(app, peer) for peer in [Peer(LARGE), Peer(LARGE), Peer(SMALL_BYTES), Peer(10)]]
    await settled()

    assert inner.read == [LARGE, SMALL_BYTES, 10]
    inner.going_on.set()
    await asyncio.gather(*tasks)


async def test_one_that_waits_too_long_is_told_to_come_again_and_the_next_one_is_served() -> None:
    inner = Inner()
    app = Uploads(inner, at_once=1, patience_s=0)
    first = asked(app, Peer(LARGE))
    await settled()
    late = Peer(LARGE)
    await asked(app, late)

    assert late.status == 503
    assert dict(late.said[0]["headers"])[b"retry-after"] == b"5"
    error = json.loads(late.said[1]["body"])["error"]
    assert "busy with other large requests, nothing was changed" in error["message"]
    assert error["data"]["retryable"]
    assert late.left == [], "it is read away, for a client that still writes may never see the answer"
    inner.going_on.set()
    await first
    again = Peer(LARGE)
    await asked(app, again)
    assert again.status == 200


async def test_an_app_that_fails_gives_its_place_back() -> None:
    class Failing(Inner):
        async def __call__(self, *_: Any) -> None:
            raise RuntimeError("broken")

    app = Uploads(Failing(), at_once=1, patience_s=0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            await asked(app, Peer(LARGE))


async def test_a_body_that_stands_still_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALLED_S", 0)
    inner = Inner()
    inner.going_on.set()
    app = Uploads(inner, at_once=1)
    silent = Peer(LARGE)

    async def never() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    await app(silent.scope, never, silent.send)

    assert inner.read == [0]


def test_a_large_request_without_a_token_takes_no_place(server: RunningServer) -> None:
    answers = [post(f"{server.url}/mcp", content=bytes(LARGE)) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401] * 3
