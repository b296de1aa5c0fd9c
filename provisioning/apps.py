"""Django's description of the app."""

from django.apps import AppConfig
from django.core import checks


class ProvisioningConfig(AppConfig):
    """A user's workspace: started, found, kept alive and stopped."""

    name = "provisioning"
    verbose_name = "Workspaces"

    def ready(self) -> None:
        """Have the settings of workspaces checked by every command that checks anything, `serve` included."""
        from provisioning.checks import check_cluster_settings, check_signing_key  # noqa: PLC0415 - the settings are complete now

        checks.register(check_signing_key, checks.Tags.security)
        checks.register(check_cluster_settings)
