"""The app of who may speak, and how much."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks


class AccountsConfig(AppConfig):
    """Licences, channel links, tokens."""

    name = "accounts"

    def ready(self) -> None:
        """Have the settings of tokens and sign-in checked by every command, and staff's sign-ins audited."""
        from accounts import staff_signins  # noqa: PLC0415 - models can't be imported before the apps are ready
        from accounts.checks import check_sign_in, check_tokens  # noqa: PLC0415

        checks.register(check_tokens, checks.Tags.security)
        checks.register(check_sign_in, checks.Tags.security)
        user_logged_in.connect(staff_signins.note)
