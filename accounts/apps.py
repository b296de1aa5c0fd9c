"""The app of who may speak, and how much."""

from django.apps import AppConfig
from django.core import checks


class AccountsConfig(AppConfig):
    """Licences, channel links, tokens."""

    name = "accounts"

    def ready(self) -> None:
        """Have the settings of tokens checked by every command, `serve` included."""
        from accounts.checks import check_tokens  # noqa: PLC0415 - models can't be imported before the apps are ready

        checks.register(check_tokens, checks.Tags.security)
