"""The waits that platforms ask for of what is no message of the queue, and those that it has to keep."""

from channels_app.channels import Channel, Target
from channels_app.deliveries.attempts import LONGEST_PAUSE_S
from channels_app.deliveries.rows import everywhere, is_resting, rest
from channels_app.errors import DeliveryError


async def may_show(channel: Channel, target: Target) -> bool:
    """Whether neither a chat rests nor its channel, and no message of another waits for its slot. Raises psycopg.Error."""
    return not await is_resting(_lane(channel, target), everywhere(channel.name), channel.name)


async def rest_as_told(channel: Channel, target: Target, error: DeliveryError) -> None:
    """Have a chat rest, or its whole channel, as long as its platform asks for, if it does. Raises psycopg.Error."""
    if error.retry_after_s is not None:
        lane = everywhere(channel.name) if error.everywhere else _lane(channel, target)
        await rest(lane, seconds=min(error.retry_after_s, LONGEST_PAUSE_S))


def _lane(channel: Channel, target: Target) -> str:
    return f"{channel.name}:{channel.chat_of(target)}"
