"""Webhooks of the chat platforms: a guard around the whole application, and the one view behind it."""

from channels_app.webhooks.guard import WebhookGuard
from channels_app.webhooks.view import PREFIX, WebhookView

__all__ = ["PREFIX", "WebhookGuard", "WebhookView"]
