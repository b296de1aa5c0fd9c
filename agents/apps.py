"""The app of the agent: turns, journal, harness."""

from django.apps import AppConfig
from django.core import checks


class AgentsConfig(AppConfig):
    """What the agent is."""

    name = "agents"

    def ready(self) -> None:
        """Have the model settings checked by every command, `serve` included."""
        # models can't be imported before the apps are ready
        from agents.checks import check_models, check_telemetry, check_transcription, check_workflows  # noqa: PLC0415

        for check in (check_models, check_telemetry, check_transcription, check_workflows):
            checks.register(check)
