"""Source: DESIGN.md, section 2: any tab, any replica; hints and journal go through Redis when REDIS_URL is set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.routing import get_default_application
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.tests.engine import TestWorker
from channels_app.socket.hints import subscribed
from channels_app.tests.live import http_of, ready_client, serving
from gateway.embedded import running_valkey

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def replica(redis_url: str, settings: Any, gateway: str) -> AsyncIterator[str]:
    """A second server beside `gateway`, both on one PostgreSQL and one Valkey."""
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [redis_url]}}
    settings.REDIS_URL, settings.CHANNEL_LAYERS = redis_url, {"default": layer}
    async with serving(get_default_application()) as host:
        yield host
    shared = get_channel_layer()
    assert shared is not None
    await shared.flush()


async def test_a_client_of_one_replica_sees_what_another_was_asked(
    gateway: str, replica: str, worker: TestWorker
) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(replica, "demo-pro") as other:
        await one.send("message", content="Hello")
        turn = (await one.until("accepted"))["turn"]
        await worker.claim()
        for word in ("one ", "two"):
            await worker.order(turn, "say", word)
        await worker.order(turn, "finish")
        await one.until("done")
        await other.until("done")

    assert one.events(turn) == other.events(turn)
    assert [event["seq"] for event in one.events(turn)] == list(range(1, len(one.events(turn)) + 1))


async def test_a_client_resumes_on_another_replica(gateway: str, replica: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as one:
        await one.send("message", content="Hello")
        turn = (await one.until("accepted"))["turn"]
        await worker.claim()
        await worker.order(turn, "say", "one ")
        last = (await one.until("token"))["seq"]
    async with ready_client(replica, "demo-pro") as again:
        await again.send("resume", turn=turn, after=last)
        await worker.order(turn, "say", "two")
        await worker.order(turn, "finish")
        await again.until("done")

    assert next(event["seq"] for event in again.events(turn)) == last + 1


async def test_a_socket_that_goes_leaves_no_subscription(gateway: str, replica: str, redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        async with ready_client(gateway, "demo-pro"), ready_client(replica, "demo-free"):
            assert len(await redis.pubsub_channels("asgi*")) > 0
        async with http_of(gateway, "demo-pro") as http:
            for _ in range(100):
                await http.get("/api/v1/me")
                if not await redis.pubsub_channels("asgi*"):
                    return
    pytest.fail("A subscription stayed.")


async def test_a_server_of_hints_that_goes_away_leaves_no_listener(tmp_path: Path, settings: Any) -> None:
    with running_valkey(tmp_path) as url:
        layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [url]}}
        settings.CHANNEL_LAYERS = {"default": layer}
        leaving = AsyncExitStack()
        await leaving.enter_async_context(subscribed("demo-pro"))
    shared = get_channel_layer()
    assert shared is not None
    with pytest.raises((RedisError, OSError)):
        await shared.group_send("nobody", {"type": "x"})
    await leaving.aclose()

    assert "listen to hints" not in {task.get_name() for task in asyncio.all_tasks()}
    await shared.flush()
