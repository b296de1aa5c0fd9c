"""Tools over preferences: read all, change some."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_server.storage.preferences import Preferences, PreferenceStore
from mcp_server.tools.offer import READS, REPLACES, Offer


class PreferenceTools:
    """Preferences for a model and for the account page."""

    def __init__(self, preferences: PreferenceStore) -> None:
        self._preferences = preferences

    def offers(self) -> list[Offer]:
        return [
            Offer(self.get_preferences, "Read preferences", READS),
            Offer(self.set_preferences, "Change preferences", REPLACES),
        ]

    def get_preferences(self) -> Preferences:
        """Read the user's preferences: language, time zone, risk limits, watchlist and others; null = no wish."""
        return self._preferences.read()

    def set_preferences(
        self,
        values: Annotated[
            Preferences,
            Field(description="Only the keys to change, e.g. {'language': 'de', 'max_drawdown_percent': 15}"),
        ],
    ) -> Preferences:
        """Change some of the user's preferences. Keys left out keep their value, null clears a key."""
        return self._preferences.change(values)
