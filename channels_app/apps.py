"""The outside world as a Django app."""

from django.apps import AppConfig


class ChannelsAppConfig(AppConfig):
    """Holds no logic: see consumers.py, api/, pages.py and webhooks.py."""

    name = "channels_app"
    verbose_name = "Channels"
