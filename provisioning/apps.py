"""Django's description of the app."""

from django.apps import AppConfig
from django.core import checks


class ProvisioningConfig(AppConfig):
    """A user's workspace: started, found, kept alive and stopped."""

    name = "provisioning"
    verbose_name = "Workspaces"

    def ready(self) -> None:
        """Have the signing key checked by every command that checks anything, `serve` included."""
        from provisioning.checks import check_signing_key  # noqa: PLC0415 - only now are the settings complete

        checks.register(check_signing_key, checks.Tags.security)
