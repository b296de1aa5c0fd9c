"""A place in a user's group of the channel layer, for as long as a socket or a stream is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from channels.layers import BaseChannelLayer, get_channel_layer
from redis.exceptions import RedisError

from agents.hints import user_group
from gateway.ending import end

Hint = dict[str, Any]

# A hint that finds no room is dropped: whoever is so far behind reads the journal anyway.
WAITING_HINTS = 1000

log = structlog.get_logger(__name__)


class Subscription:
    """What the group is told, from now on."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Hint] = asyncio.Queue(WAITING_HINTS)

    async def next(self) -> Hint:
        """The next hint (see agents.hints); may be given up at any time."""
        return await self._queue.get()

    async def listen(self, layer: BaseChannelLayer, channel: str) -> None:
        """Take hints from the layer until cancelled.

        Only cancelled once: the layer of channels_redis drops a channel when a `receive` of it is cancelled.
        """
        while True:
            hint: Hint = await layer.receive(channel)
            if not self._queue.full():
                self._queue.put_nowait(hint)


@asynccontextmanager
async def subscribed(user_id: str) -> AsyncIterator[Subscription]:
    """A subscription to the user's group. Raises redis.RedisError or OSError when the layer's server can't be reached."""
    layer = get_channel_layer()
    if layer is None:
        raise RuntimeError("CHANNEL_LAYERS has no default.")
    channel, group, subscription = await layer.new_channel(), user_group(user_id), Subscription()
    listening = asyncio.create_task(subscription.listen(layer, channel), name="listen to hints")
    try:
        await layer.group_add(group, channel)
        yield subscription
    finally:
        try:
            await layer.group_discard(group, channel)
        except (RedisError, OSError) as error:
            log.warning("group_not_left", error=type(error).__name__)
        finally:
            await end([listening])
