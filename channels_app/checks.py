"""What must be right before any server or worker starts."""

from typing import Any

from django.core.checks import CheckMessage, Error

from channels_app.channels import faults


def check_channels(**_context: Any) -> list[CheckMessage]:
    """A channel is configured wholly or not at all."""
    return [Error(fault, id="channels_app.E001") for fault in faults()]
