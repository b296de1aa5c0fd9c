"""The outside world as a Django app."""

from django.apps import AppConfig
from django.core.checks import register

from accounts.channel_names import name_by
from channels_app.channels import label_of
from channels_app.checks import check_channels


class ChannelsAppConfig(AppConfig):
    """Holds no logic: see consumers.py, api/, pages.py and webhooks.py."""

    name = "channels_app"
    verbose_name = "Channels"

    def ready(self) -> None:
        """Check the channels' settings with all others, and say what they are called."""
        register(check_channels)
        name_by(label_of)
