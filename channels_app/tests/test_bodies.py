"""No body is read past 1 MiB, wherever it is sent. Source: DESIGN section 4."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.uploads import MOST_BYTES
from channels_app.asgi_types import App
from channels_app.bodies import MAX_BODY_BYTES, BodyCap
from channels_app.tests.live import http_of
from channels_app.webhooks import WebhookGuard


class Application:
    """Remembers the headers and bodies that it was given."""

    def __init__(self) -> None:
        self.headers: list[dict[bytes, bytes]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append(dict(scope["headers"]))
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def status_of(app: App, *chunks: bytes, length: int | None = None, path: str = "/api/v1/turns") -> int:
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    framing = (b"Transfer-Encoding", b"chunked") if length is None else (b"content-length", str(length).encode())
    headers = [(b"x-telegram-bot-api-secret-token", b"secret"), framing]
    await app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
    return int(sent[0]["status"])


async def test_a_body_in_pieces_reaches_the_application_whole() -> None:
    behind = Application()

    assert await status_of(BodyCap(behind), b"ab", b"cd") == 200
    assert behind.bodies == [b"abcd"]
    assert behind.headers[0][b"content-length"] == b"4"
    assert b"Transfer-Encoding" not in behind.headers[0]


async def test_a_webhooks_body_in_pieces_is_announced_whole(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = "1:a", "secret"
    behind = Application()
    guard = WebhookGuard(Application(), webhooks=behind)

    assert await status_of(guard, b"ab", b"cd", path="/webhook/telegram") == 200
    assert (behind.bodies, behind.headers[0][b"content-length"]) == ([b"abcd"], b"4")


@pytest.mark.parametrize("announced", [MAX_BODY_BYTES + 1, None])
async def test_a_larger_body_than_the_cap_never_reaches_the_application(announced: int | None) -> None:
    behind = Application()

    assert await status_of(BodyCap(behind), *[b"x" * 65_536] * 17, length=announced) == 413
    assert behind.bodies == []


async def test_a_file_may_be_larger_but_not_without_end() -> None:
    behind = Application()
    app, pieces = BodyCap(behind), [b"x" * 65_536]

    assert await status_of(app, *pieces * 45, path="/api/v1/uploads") == 200
    assert await status_of(app, *pieces * 47, path="/api/v1/uploads") == 413
    assert await status_of(app, length=MOST_BYTES + 20_000, path="/api/v1/uploads") == 413
    assert await status_of(app, *pieces * 45, path="/api/v1/uploads/x") == 413
    assert [len(body) for body in behind.bodies] == [45 * 65_536]


@pytest.mark.django_db(transaction=True)
async def test_a_body_of_unannounced_length_is_read_by_the_api(gateway: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"content": '
        yield b'"Hello"}'

    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/turns", content=chunks(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 202
