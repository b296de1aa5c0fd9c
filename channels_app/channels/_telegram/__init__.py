"""Parts of the Telegram channel."""
