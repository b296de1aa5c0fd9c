"""The door for the platforms. Source: DESIGN.md section 4: 413 and 401 before the body is read, then 415, 400, stored, 200."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured

from channels_app.bodies import MAX_BODY_BYTES
from channels_app.checks import check_channels
from channels_app.tests.chats.bot_api import TOKEN, BotApi
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.live import serving
from channels_app.webhooks import WebhookGuard

HEADERS = {"X-Telegram-Bot-Api-Secret-Token": SECRET, "Content-Type": "application/json"}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
ACCOUNT = 7


class Door:
    """The guard, called as a server calls it; what it read and what the application behind it got."""

    def __init__(self) -> None:
        self.read = 0
        self.behind: list[bytes] = []
        self.sent: list[dict[str, Any]] = []

    async def call(
        self, *chunks: bytes, path: str = "/webhook/telegram", method: str = "POST", headers: Any = RAW_HEADERS
    ) -> int:
        scope = {"type": "http", "path": path, "method": method, "headers": list(headers)}
        left = list(chunks)

        async def receive() -> dict[str, Any]:
            self.read += 1
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await WebhookGuard(self.app, webhooks=self.app)(scope, receive, send)
        return int(self.sent[0]["status"]) if self.sent else 0

    async def app(self, _scope: Any, receive: Any, send: Any) -> None:
        self.behind.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    @property
    def error(self) -> dict[str, str]:
        found = json.loads(self.sent[1]["body"])["error"]
        assert set(found) == {"code", "message", "request_id"}
        return dict(found)


@pytest.fixture
def door(bot_api: BotApi) -> Door:
    return Door()


async def test_a_body_reaches_the_application_whole(door: Door) -> None:
    assert await door.call(b"one ", b"two ", b"three") == 200
    assert door.behind == [b"one two three"]


@pytest.mark.parametrize("given", [None, "", "wrong", SECRET + "x", SECRET[:-1], "s\u00e9cret"])
async def test_without_the_secret_nothing_is_read(door: Door, given: str | None) -> None:
    headers = [] if given is None else [(b"x-telegram-bot-api-secret-token", given.encode("latin-1"))]

    assert await door.call(b"body", headers=headers) == 401
    assert (door.read, door.behind, door.error["code"]) == (0, [], "unauthorized")


async def test_a_secret_that_is_given_twice_is_none(door: Door) -> None:
    assert await door.call(b"body", headers=[RAW_HEADERS[0], RAW_HEADERS[0]]) == 401


async def test_a_length_over_the_cap_is_refused_before_anything_is_read(door: Door) -> None:
    headers = [*RAW_HEADERS, (b"content-length", str(MAX_BODY_BYTES + 1).encode())]

    assert await door.call(b"body", headers=headers) == 413
    assert (door.read, door.error["code"]) == (0, "too_large")


async def test_a_stream_is_read_no_further_than_the_cap(door: Door) -> None:
    chunk = b"x" * (MAX_BODY_BYTES // 4)

    assert await door.call(*[chunk] * 100) == 413
    assert (door.read, door.behind) == (5, [])


async def test_a_body_of_exactly_the_cap_passes(door: Door) -> None:
    assert await door.call(b"x" * MAX_BODY_BYTES) == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "DELETE"])
async def test_another_method_is_refused(door: Door, method: str) -> None:
    assert await door.call(method=method) == 405
    assert (b"allow", b"POST") in door.sent[0]["headers"]


@pytest.mark.parametrize(
    "path", ["/webhook/", "/webhook/slack", "/webhook/telegram/", "/webhook/telegram/x", "/webhook/../x"]
)
async def test_what_is_no_channel_is_not_there(door: Door, path: str) -> None:
    assert await door.call(b"body", path=path) == 404


async def test_a_channel_that_is_off_is_not_there(door: Door, settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN = settings.TELEGRAM_WEBHOOK_SECRET = ""

    assert await door.call(b"body", headers=[(b"x-telegram-bot-api-secret-token", b"")]) == 404


async def test_a_client_that_goes_away_gets_no_answer(door: Door) -> None:
    assert await door.call() == 0


async def test_other_paths_pass_unread(door: Door) -> None:
    assert await door.call(b"body", path="/api/v1/turns", headers=[]) == 200


async def test_a_half_configured_channel_keeps_the_server_from_starting(door: Door, settings: Any) -> None:
    settings.TELEGRAM_WEBHOOK_SECRET = ""

    with pytest.raises(ImproperlyConfigured, match="together"):
        WebhookGuard(door.app)
    assert [error.id for error in check_channels()] == ["channels_app.E001"]
    assert TOKEN not in str(check_channels())


@pytest.fixture
async def client(bot_api: BotApi, licensed: dict[str, str], pool: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application behind a real server, with the headers of Telegram."""
    from django.core.asgi import get_asgi_application

    async with (
        serving(WebhookGuard(get_asgi_application())) as host,
        httpx.AsyncClient(base_url=f"http://{host}", headers=HEADERS, timeout=30) as made,
    ):
        yield made


async def post(client: httpx.AsyncClient, value: Any) -> httpx.Response:
    return await client.post("/webhook/telegram", content=json.dumps(value))


async def test_a_linked_senders_message_is_a_turn_once_it_is_acknowledged(client: httpx.AsyncClient) -> None:
    await link("demo-pro", ACCOUNT)

    response = await post(client, update(text="RSI of SPX?"))

    assert (response.status_code, response.content) == (200, b"")
    assert await rows("SELECT user_id, channel, external_id, content, reply_to FROM turns") == [
        ("demo-pro", "telegram", "123456:9", "RSI of SPX?", {"chat": 7, "message": 70})
    ]


async def test_fifty_identical_posts_at_once_are_one_turn(client: httpx.AsyncClient) -> None:
    """Source: DESIGN.md, turns: fifty identical webhooks are one turn."""
    await link("demo-pro", ACCOUNT)

    responses = await asyncio.gather(*[post(client, update()) for _ in range(50)])

    assert [response.status_code for response in responses] == [200] * 50
    assert await rows("SELECT count(*) FROM turns") == [(1,)]


async def test_an_accepted_message_begins_the_workspace(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a server that staff set outside the allowlist, so that the beginning is seen to fail."""
    await rows("UPDATE user_licenses SET mcp_server_url = 'http://127.0.0.1:9/elsewhere'")
    await link("demo-pro", ACCOUNT)
    with caplog.at_level(logging.WARNING):
        await post(client, update())
        async with asyncio.timeout(60):
            while "workspace_not_started" not in caplog.text:  # noqa: ASYNC110 - a log has no event to wait for
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("user", "sentence"), [("demo-expired", "expired"), ("demo-pro", "can read text")], ids=["expired", "photo"]
)
async def test_a_refusal_is_said_in_the_chat_once(client: httpx.AsyncClient, user: str, sentence: str) -> None:
    await link(user, ACCOUNT)
    message = update() if user == "demo-expired" else update(text=None, photo=[])

    responses = await asyncio.gather(*[post(client, message) for _ in range(5)])

    said = await rows("SELECT user_id, lane_id, body->>'text' FROM deliveries")
    assert [response.status_code for response in responses] == [200] * 5
    assert [(row[0], row[1]) for row in said] == [(user, "telegram:7")]
    assert sentence in said[0][2]
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


async def test_an_unknown_sender_gets_one_hint_an_hour(client: httpx.AsyncClient) -> None:
    await asyncio.gather(*[post(client, update() | {"update_id": number}) for number in range(10)])

    hints = await rows("SELECT user_id, body->>'text' FROM deliveries")
    assert [row[0] for row in hints] == [""]
    assert "7" in hints[0][1]

    await rows("UPDATE unlinked_senders SET hinted_at = hinted_at - interval '61 minutes'")
    await post(client, update() | {"update_id": 99})

    assert await rows("SELECT count(*) FROM deliveries") == [(2,)]


async def test_what_is_none_of_our_business_is_acknowledged_and_left(client: httpx.AsyncClient) -> None:
    response = await post(client, {"update_id": 5, "edited_message": {"text": "secret words"}})

    assert response.status_code == 200
    assert await rows("SELECT count(*) FROM deliveries") == [(0,)]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"NaN", b'{"update_id": NaN}', b'{"update_id": 1, "update_id": 2}', b"\xff\xfe",
        b'{"update_id": ' + b"9" * 5000 + b"}", b'{"a": "\\u0000"}', b'{"update_id": 1, "a": "\\ud800"}',
        b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"update_id": 1e999}', b'{"update_id": "1"}',
    ],
)  # fmt: skip
async def test_hostile_json_is_an_error_in_the_apis_form(client: httpx.AsyncClient, body: bytes) -> None:
    """Source: PLATFORMS, JSON: what Python lets through or stumbles over, and what PostgreSQL refuses."""
    response = await client.post("/webhook/telegram", content=body)

    assert response.status_code == 400
    assert response.json()["error"].keys() == {"code", "message", "request_id"}
    assert response.json()["error"]["code"] == "invalid"


async def test_another_content_type_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/webhook/telegram", content=b"a=1", headers={"Content-Type": "text/plain"})

    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


async def test_a_chunked_body_over_the_cap_is_refused_by_a_real_server(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65536

    response = await client.post("/webhook/telegram", content=chunks())

    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


async def test_the_view_asks_for_the_secret_even_without_the_guard(bot_api: BotApi) -> None:
    from django.core.asgi import get_asgi_application

    async with (
        serving(get_asgi_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", headers={"Content-Type": "application/json"}) as client,
    ):
        assert (await post(client, update())).status_code == 401
        assert (await client.get("/webhook/telegram")).status_code == 405
        assert (await client.post("/webhook/slack", content=b"{}")).status_code == 404
