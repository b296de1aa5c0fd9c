"""The Django project as an app: its commands and the table of worker leases."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Holds no logic: the project wires, it decides nothing."""

    name = "gateway"
