"""The app of who may speak, and how much."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Licences, channel links, tokens."""

    name = "accounts"
