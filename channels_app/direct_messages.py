"""Hear what people write to the Discord bot in direct messages, which no webhook tells of."""

import asyncio
from typing import Any

import psycopg
import structlog
from redis.exceptions import RedisError

from channels_app import metrics, strict_json
from channels_app.channels import Ignored
from channels_app.channels._discord.gateway import Gateway
from channels_app.channels._discord.interactions import parse_message
from channels_app.channels.discord import CHANNEL
from channels_app.discord_sessions import owning
from channels_app.errors import BadUpdate
from channels_app.inbound import receive

AGAIN_AFTER_S = 1.0

log = structlog.get_logger(__name__)


async def listen() -> None:
    """Hear until cancelled. Raises channels._discord.gateway.GatewayRefused."""
    try:
        async with owning() as sessions:
            listening = Gateway(hear, session=await sessions.take(), keep=sessions.keep)
            await sessions.keep(listening.session)
            await listening.run()
    finally:
        await CHANNEL.close()


async def hear(message: Any, bot_id: str) -> None:
    """Store a message; while the database is away it is tried again, since Discord sends it only once."""
    try:
        # What no table holds would be tried for ever.
        strict_json.check(message)
        found = parse_message(message, bot_id=bot_id)
    except (BadUpdate, strict_json.BadJSON) as error:
        log.warning("message_not_understood", channel=CHANNEL.name, error=str(error))
        return
    outcome = "ignored"
    while not isinstance(found, Ignored):
        try:
            outcome = await receive(CHANNEL, found)
            break
        except (psycopg.Error, RedisError) as error:
            log.warning("message_not_stored", channel=CHANNEL.name, error=type(error).__name__)
            await asyncio.sleep(AGAIN_AFTER_S)
    metrics.updates.labels(channel=CHANNEL.name, outcome=outcome).inc()
