"""The bot's webhook at Telegram. Source: Bot API, setWebhook, getWebhookInfo, deleteWebhook."""

from typing import Any

from django.conf import settings
from telegram import Bot

from channels_app.channels._telegram import api

# The kinds of updates that are answered; Telegram sends no other then.
ALLOWED_UPDATES = ["message", "callback_query", "stopped_message_generation"]


async def set_webhook(url: str) -> None:
    """Let Telegram post to `url`, with the secret. Raises DeliveryError."""

    async def ask(bot: Bot) -> bool:
        return await bot.set_webhook(
            url, secret_token=settings.TELEGRAM_WEBHOOK_SECRET, allowed_updates=ALLOWED_UPDATES
        )

    await api.call(ask)


async def delete_webhook() -> None:
    """Let Telegram keep what people write. Raises DeliveryError."""

    async def ask(bot: Bot) -> bool:
        return await bot.delete_webhook()

    await api.call(ask)


async def webhook_info() -> dict[str, Any]:
    """What Telegram knows: `{"url", "pending_updates", "last_error"}`; url "" = none is set. Raises DeliveryError."""
    info = await api.call(lambda bot: bot.get_webhook_info())
    return {
        "url": info.url,
        "pending_updates": info.pending_update_count,
        "last_error": info.last_error_message or "",
    }
