"""A client's `message` frame as the engine's message."""

from agents.turns import IncomingMessage
from channels_app.protocol.client import Message
from gateway.ids import new_id

CHANNEL = "web"


def message_of(frame: Message, *, user_id: str) -> IncomingMessage:
    """The message, from the socket or from `POST turns`; without an `id` of the client's it is never a duplicate."""
    return IncomingMessage(
        user_id=user_id,
        channel=CHANNEL,
        external_id=frame.id or new_id(),
        content=frame.content,
        conversation=frame.conversation,
        model=frame.model,
        when_busy=frame.when_busy,
        attachments=tuple(frame.attachments or ()),
        attachments_of=frame.attachments_of,
    )
