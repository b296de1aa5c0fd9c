"""Answers that Slack shows as streams. Source: docs.slack.dev, chat.startStream, chat.appendStream, chat.stopStream.

Slack closes a stream after some minutes. What was appended can't be read back, so a receipt holds how much it was; when in
doubt, and always at the end, the stream is stopped and the message updated as any other.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

from channels_app.channels import Target
from channels_app.channels._slack import api
from channels_app.channels._slack.messages import mark
from channels_app.errors import DeliveryError, NotEditable


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message of ours; of a stream also how many characters it has (`streamed`), and which (`mark`)."""

    channel: str
    ts: str
    streamed: int | None = None
    mark: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """The receipt that a delivery's row holds."""
        channel, ts, *stream = text.split("/")
        return cls(channel, ts, int(stream[0]), stream[1]) if stream else cls(channel, ts)

    def __str__(self) -> str:
        place = f"{self.channel}/{self.ts}"
        return place if self.streamed is None else f"{place}/{self.streamed}/{self.mark}"


async def begin_stream(text: str, target: Target) -> Receipt | None:
    """Begin a stream in a thread; None where Slack has none. Raises DeliveryError."""
    if not target["thread"]:
        return None
    try:
        answer = await api.call(
            "chat.startStream",
            channel=target["channel"],
            thread_ts=target["thread"],
            markdown_text=text,
            recipient_team_id=target["team"],
            recipient_user_id=target["user"],
        )
    except api.SlackRefused:
        # Not every workspace, plan and kind of chat has streams.
        return None
    return Receipt(str(answer["channel"]), str(answer["ts"]), len(text), mark(text))


async def append_stream(receipt: Receipt, text: str) -> Receipt | None:
    """Append what is new in `text`; None when the stream is over, or shows something else. Raises DeliveryError."""
    shown = receipt.streamed or 0
    if mark(text[:shown]) != receipt.mark:
        return None
    if text[shown:]:
        try:
            await api.call("chat.appendStream", channel=receipt.channel, ts=receipt.ts, markdown_text=text[shown:])
        except (NotEditable, api.SlackRefused):
            return None
        except DeliveryError as error:
            if not error.ambiguous:
                raise
            # It may have been appended: not once more.
            return None
    return replace(receipt, streamed=len(text), mark=mark(text))


async def end_stream(receipt: Receipt) -> Receipt:
    """Stop the stream, which may have been stopped; the message stays. Raises DeliveryError."""
    with suppress(NotEditable, api.SlackRefused):
        await api.call("chat.stopStream", channel=receipt.channel, ts=receipt.ts)
    return Receipt(receipt.channel, receipt.ts)
