"""Django's description of the app."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    """A user's workspace: started, found, kept alive and stopped."""

    name = "provisioning"
    verbose_name = "Workspaces"
