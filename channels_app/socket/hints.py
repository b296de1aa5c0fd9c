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
from gateway.mailbox import Mailbox

Hint = dict[str, Any]

# A hint that finds no room is dropped: whoever is so far behind reads the journal anyway.
WAITING_HINTS = 1000
AGAIN_S = 1.0

log = structlog.get_logger(__name__)


@asynccontextmanager
async def subscribed(user_id: str) -> AsyncIterator[Mailbox[Hint]]:
    """What the user's group is told from now on (see agents.hints).

    Raises redis.RedisError or OSError when the layer's server can't be reached.
    """
    layer = get_channel_layer()
    if layer is None:
        raise RuntimeError("CHANNEL_LAYERS has no default.")
    hints: Mailbox[Hint] = Mailbox(WAITING_HINTS)
    channel, group = await layer.new_channel(), user_group(user_id)
    listening = asyncio.create_task(_listen(layer, channel, hints), name="listen to hints")
    try:
        await layer.group_add(group, channel)
        yield hints
    finally:
        try:
            await layer.group_discard(group, channel)
        except (RedisError, OSError) as error:
            log.warning("group_not_left", error=type(error).__name__)
        finally:
            await end([listening])


async def _listen(layer: BaseChannelLayer, channel: str, hints: Mailbox[Hint]) -> None:
    """Take hints from the layer until cancelled.

    Only cancelled once: the layer of channels_redis drops a channel when a `receive` of it is cancelled.
    """
    while True:
        try:
            hint: Hint = await layer.receive(channel)
        except (RedisError, OSError) as error:
            # Whoever listens looks for itself meanwhile.
            log.warning("hints_not_received", error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)
            continue
        if not hints.full():
            hints.put_nowait(hint)
