"""Hints by the channel layer: that something is worth reading, never the thing itself (a lost hint loses nothing)."""

import hashlib

import structlog
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


def user_group(user_id: str) -> str:
    """The group of a user's open sockets; hashed, since group names allow few characters and 100 bytes."""
    return "user." + hashlib.sha256(user_id.encode()).hexdigest()[:40]


async def hint_turn(user_id: str, *, turn: str, seq: int) -> None:
    """Tell the user's sockets that the turn's journal has events up to `seq`."""
    await _send(user_id, {"type": "turn.hint", "turn": turn, "seq": seq})


async def hint_workspace(user_id: str, *, state: str, detail: str) -> None:
    """Tell the user's sockets what their workspace is doing."""
    await _send(user_id, {"type": "workspace.status", "state": state, "detail": detail})


async def _send(user_id: str, message: dict[str, str | int]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(user_group(user_id), message)
    except (ChannelFull, RedisError, OSError) as error:
        log.warning("hint_not_sent", error=type(error).__name__)
