"""Pictures of answers. Source: Bot API, sendPhoto, sendDocument, "Sending files"."""

from telegram import Bot, InputFile, Message

from channels_app.channels import Part, Target
from channels_app.channels._telegram import api

NAME = "chart.png"


async def send(part: Part, target: Target, *, content: bytes) -> str:
    """As a photo, or as a file where Telegram makes no photo of it; the id of the message. Raises DeliveryError."""
    try:
        return await _send_photo(part, target, content=content)
    except api.NoPhoto:
        return await _send_document(part, target, content=content)


async def _send_photo(part: Part, target: Target, *, content: bytes) -> str:
    async def send(bot: Bot) -> Message:
        file = InputFile(content, filename=NAME)
        return await bot.send_photo(
            target["chat"], file, caption=part["caption"], message_thread_id=target.get("topic")
        )

    return str((await api.call(send)).message_id)


async def _send_document(part: Part, target: Target, *, content: bytes) -> str:
    async def send(bot: Bot) -> Message:
        file = InputFile(content, filename=NAME)
        return await bot.send_document(
            target["chat"],
            file,
            caption=part["caption"],
            disable_content_type_detection=True,
            message_thread_id=target.get("topic"),
        )

    return str((await api.call(send)).message_id)
