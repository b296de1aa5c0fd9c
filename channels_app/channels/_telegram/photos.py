"""Pictures of answers. Source: Bot API, sendPhoto, sendDocument, "Sending files"."""

from telegram import Bot, InputFile, Message

from channels_app.channels import Part, Target
from channels_app.channels._telegram import api

NAME = "chart.png"


async def send_photo(part: Part, target: Target, *, content: bytes) -> str:
    """The id of the message that shows it. Raises DeliveryError, and of it api.NoPhoto."""

    async def send(bot: Bot) -> Message:
        return await bot.send_photo(target["chat"], InputFile(content, filename=NAME), caption=part["caption"])

    return str((await api.call(send)).message_id)


async def send_document(part: Part, target: Target, *, content: bytes) -> str:
    """The same as a file. Raises DeliveryError."""

    async def send(bot: Bot) -> Message:
        file = InputFile(content, filename=NAME)
        return await bot.send_document(
            target["chat"], file, caption=part["caption"], disable_content_type_detection=True
        )

    return str((await api.call(send)).message_id)
