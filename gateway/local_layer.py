"""The channel layer of a single process."""

import asyncio
from collections import defaultdict
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from gateway.ids import new_id
from gateway.mailbox import Mailbox

Message = dict[str, Any]


class LocalChannelLayer(BaseChannelLayer):
    """Passes a message straight to the queues of those who listen now; who leaves takes the queue along.

    The in-memory layer of `channels` looks through every channel and every group of the process at each message, for what has
    expired: with a thousand open sockets that costs more than all the rest of a message. Here nothing is left to expire.
    """

    extensions = ["groups", "flush"]

    def __init__(self, *, capacity: int = 100, **options: Any) -> None:
        super().__init__(capacity=capacity, **options)
        self._queues: dict[str, Mailbox[Message]] = {}
        self._groups: defaultdict[str, set[str]] = defaultdict(set)

    async def new_channel(self, prefix: str = "specific.") -> str:
        """A name that nobody else has."""
        return f"{prefix}local!{new_id()}"

    async def send(self, channel: str, message: Message) -> None:
        """Put a message into the channel. Raises ChannelFull."""
        self.require_valid_channel_name(channel)
        self._put(channel, message)

    async def receive(self, channel: str) -> Message:
        """The channel's next message. Cancelled, it ends the channel with what still waits in it."""
        try:
            return await self._queue(channel).get()
        except asyncio.CancelledError:
            self._queues.pop(channel, None)
            raise

    async def group_add(self, group: str, channel: str) -> None:
        """Let the channel have what is sent to the group from now on."""
        self.require_valid_group_name(group)
        self._groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """No longer."""
        channels = self._groups.get(group, set())
        channels.discard(channel)
        if not channels:
            self._groups.pop(group, None)

    async def group_send(self, group: str, message: Message) -> None:
        """Send to each channel of the group; one that is full gets nothing."""
        for channel in [*self._groups.get(group, ())]:
            try:
                self._put(channel, message)
            except ChannelFull:
                continue

    async def flush(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._groups.clear()

    async def close(self) -> None:
        """Nothing is open."""

    def _queue(self, channel: str) -> Mailbox[Message]:
        queue = self._queues.get(channel)
        if queue is None:
            queue = self._queues[channel] = Mailbox(self.get_capacity(channel))
        return queue

    def _put(self, channel: str, message: Message) -> None:
        try:
            # A copy: no listener may see what another does to it.
            self._queue(channel).put_nowait({**message})
        except asyncio.QueueFull as error:
            raise ChannelFull(channel) from error
