"""Webhooks of the chat platforms: a guard around the whole application, and the one view behind it."""

from channels_app.webhooks.guard import MAX_BODY_BYTES, WebhookGuard
from channels_app.webhooks.view import PREFIX, WebhookView

__all__ = ["MAX_BODY_BYTES", "PREFIX", "WebhookGuard", "WebhookView"]
