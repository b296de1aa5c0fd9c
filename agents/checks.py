"""Django's system checks of the agent's settings: a mistake in them fails the start, not the first turn."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from agents import telemetry, transcription
from agents.catalogue import catalogue, configured_default
from agents.providers import providers
from agents.workflows import workflows


def check_models(**_options: Any) -> list[CheckMessage]:
    """The catalogue can be read, and the default's provider is one that there is."""
    known = providers()
    named = settings.DEFAULT_MODEL_PROVIDER
    if named and named not in known:
        return [Error(f"DEFAULT_MODEL_PROVIDER {named!r} is none of {', '.join(known)}.", id="agents.E001")]
    try:
        listed = catalogue()
        configured_default(listed)
    except ImproperlyConfigured as error:
        return [Error(str(error), id="agents.E002")]
    strange = sorted({model.provider for model in listed.models} - set(known))
    if strange:
        return [Error(f"MODEL_CATALOGUE names providers that there are not: {', '.join(strange)}.", id="agents.E003")]
    return []


def check_telemetry(**_options: Any) -> list[CheckMessage]:
    """Spans that the environment asks for can be sent."""
    return [Error(fault, id="agents.E004") for fault in telemetry.faults()]


def check_transcription(**_options: Any) -> list[CheckMessage]:
    """A model that is to hear has a provider."""
    return [Error(fault, id="agents.E005") for fault in transcription.faults()]


def check_workflows(**_options: Any) -> list[CheckMessage]:
    """The workflows of the folder are there; whatever a broken one raises ends the start."""
    workflows()
    return []
