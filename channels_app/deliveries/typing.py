"""Show in a chat that an answer is being worked on, before there is a word of it."""

import asyncio

import psycopg
import structlog

from agents.running import RunningTurn
from channels_app.channels import Channel
from channels_app.deliveries.attempts import LONGEST_PAUSE_S
from channels_app.deliveries.rows import is_resting, rest
from channels_app.errors import DeliveryError
from gateway.ending import end

# A sign that passes is worth no queue: where so many are on their way, others are left out.
AT_ONCE = 8

log = structlog.get_logger(__name__)


class Typing:
    """The signs that one process gives; nobody waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        # Turns whose platform has refused: it would again.
        self._refused: set[str] = set()

    def show(self, turn: RunningTurn, channel: Channel) -> None:
        """Give the sign in the turn's chat, unless that rests."""
        if len(self._tasks) >= AT_ONCE or turn.id in self._refused:
            return
        task = asyncio.create_task(self._show(turn, channel), name=f"typing {turn.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep(self, turns: set[str]) -> None:
        """Forget all other turns."""
        self._refused &= turns

    async def close(self) -> None:
        """Break off what is on its way."""
        await end(list(self._tasks))

    async def _show(self, turn: RunningTurn, channel: Channel) -> None:
        lane = f"{channel.name}:{channel.chat_of(turn.reply_to)}"
        try:
            # Neither in a chat that rests nor while others' messages wait for their slots.
            if not await is_resting(lane) and not await is_resting(channel.name):
                await channel.typing(turn.reply_to)
        except DeliveryError as error:
            if error.retry_after_s is not None:
                await rest(lane, seconds=min(error.retry_after_s, LONGEST_PAUSE_S))
            elif error.permanent:
                self._refused.add(turn.id)
            log.info("typing_not_shown", channel=channel.name, cause=error.cause)
        except psycopg.Error as error:
            log.info("typing_not_shown", channel=channel.name, cause=type(error).__name__)
