"""The app of the agent: turns, journal, harness."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """What the agent is."""

    name = "agents"
