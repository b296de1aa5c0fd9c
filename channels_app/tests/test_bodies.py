"""No body is read past 1 MiB, wherever it is sent. Source: DESIGN section 4."""

from typing import Any

import pytest

from channels_app.bodies import MAX_BODY_BYTES, BodyCap


class Application:
    """Remembers the bodies that it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def status_of(app: BodyCap, *chunks: bytes, length: int | None = None) -> int:
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    await app({"type": "http", "method": "POST", "path": "/api/v1/turns", "headers": headers}, receive, send)
    return int(sent[0]["status"])


async def test_a_body_in_pieces_reaches_the_application_whole() -> None:
    behind = Application()

    assert await status_of(BodyCap(behind), b"ab", b"cd") == 200
    assert behind.bodies == [b"abcd"]


@pytest.mark.parametrize("announced", [MAX_BODY_BYTES + 1, None])
async def test_a_larger_body_than_the_cap_never_reaches_the_application(announced: int | None) -> None:
    behind = Application()

    assert await status_of(BodyCap(behind), *[b"x" * 65_536] * 17, length=announced) == 413
    assert behind.bodies == []
