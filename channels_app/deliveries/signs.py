"""What is shown of an answer in passing, and is no message: that it is worked on, or a draft of it."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from accounts.links import user_of
from agents.running import RunningTurn
from channels_app import metrics
from channels_app.channels import Channel
from channels_app.deliveries.resting import may_show, rest_as_told
from channels_app.errors import DeliveryError
from gateway.ending import end

# What passes is worth no queue: where so many are on their way, others are left out.
AT_ONCE = 8

log = structlog.get_logger(__name__)


class Signs:
    """The signs of one kind that one process gives; nobody waits for them. A turn has one at a time on its way."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Turns whose platform has refused: it would again.
        self._refused: set[str] = set()

    def give(self, turn: RunningTurn, channel: Channel, sign: Callable[[], Awaitable[None]]) -> bool:
        """Begin to give a sign, unless the turn's chat rests; False when it is left out."""
        if len(self._tasks) >= AT_ONCE or turn.id in self._tasks or turn.id in self._refused:
            return False
        self._tasks[turn.id] = task = asyncio.create_task(self._give(turn, channel, sign), name=f"sign {turn.id}")
        task.add_done_callback(lambda _task: self._tasks.pop(turn.id, None))
        return True

    def refused(self, turn: str) -> bool:
        """Whether the platform takes none for a turn."""
        return turn in self._refused

    def keep(self, turns: set[str]) -> None:
        """Forget all other turns."""
        self._refused &= turns

    async def close(self) -> None:
        """Break off what is on its way."""
        await end(list(self._tasks.values()))

    async def _give(self, turn: RunningTurn, channel: Channel, sign: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._sign(turn, channel, sign)
        except psycopg.Error as error:
            log.info("sign_not_given", channel=channel.name, cause=type(error).__name__)
        except Exception:
            self._refused.add(turn.id)
            metrics.preview_faults.labels(channel=channel.name).inc()
            log.exception("sign_failed", turn=turn.id, channel=channel.name)

    async def _sign(self, turn: RunningTurn, channel: Channel, sign: Callable[[], Awaitable[None]]) -> None:
        try:
            if await may_show(channel, turn.reply_to) and await speaks_for(turn, channel):
                await sign()
        except DeliveryError as error:
            await rest_as_told(channel, turn.reply_to, error)
            if error.permanent:
                self._refused.add(turn.id)
            log.info("sign_not_given", channel=channel.name, cause=error.cause)


async def speaks_for(turn: RunningTurn, channel: Channel) -> bool:
    """Whether the account to which a turn is answered still is its user's. Raises psycopg.Error."""
    return await user_of(channel.name, channel.account_of(turn.reply_to)) == turn.user_id
