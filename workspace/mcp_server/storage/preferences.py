"""The user's preferences: a small typed set, every key with a meaning that the agent acts on."""

from __future__ import annotations

import json
import re
import zoneinfo
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mcp_server.storage.database import Database

Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9._/-]{0,31}")


class Preferences(BaseModel):
    """What the user wants; None = no wish."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="Favourite model as provider/name, e.g. 'anthropic/claude-sonnet-4-5'."
    )
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = Field(
        None, description="Language of the answers, a BCP 47 tag, e.g. 'en' or 'pt-BR'."
    )
    time_zone: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="IANA time zone for dates and schedules, e.g. 'Europe/Zurich'."
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="Currency for amounts, ISO 4217, e.g. 'USD'."
    )
    units: Literal["metric", "imperial"] | None = Field(
        None, description="Units of measure for what is not money, e.g. tonnes or bushels: 'metric' or 'imperial'."
    )
    number_format: Literal["1,234.56", "1.234,56", "1 234,56", "1'234.56"] | None = Field(
        None, description="How numbers are written, told by an example, e.g. '1.234,56'."
    )
    date_format: Literal["YYYY-MM-DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY"] | None = Field(
        None, description="How dates are written, e.g. 'DD.MM.YYYY'."
    )
    risk_tolerance: Literal["low", "medium", "high"] | None = Field(None, description="How much risk the user bears.")
    max_position_percent: Percent | None = Field(
        None, description="Largest single position in percent of the account, above 0 to 100, e.g. 20."
    )
    max_drawdown_percent: Percent | None = Field(
        None, description="Largest acceptable loss from a peak in percent, above 0 to 100, e.g. 15."
    )
    max_daily_loss_percent: Percent | None = Field(
        None, description="Largest acceptable loss of one day in percent of the account, above 0 to 100, e.g. 2."
    )
    max_leverage: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = Field(
        None, description="Largest sum of all positions as a multiple of the account, above 0 to 100, e.g. 1.5."
    )
    watchlist: Annotated[list[str], Field(max_length=50)] | None = Field(
        None, description="Symbols the user follows, at most 50, e.g. ['SPX', 'IXIC']."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in zoneinfo.available_timezones():
            raise ValueError("not an IANA time zone; write it like 'Europe/Zurich' or 'UTC'")
        return zone

    @field_validator("watchlist")
    @classmethod
    def _symbols(cls, symbols: list[str] | None) -> list[str] | None:
        for symbol in symbols or ():
            if not SYMBOL.fullmatch(symbol):
                raise ValueError("each entry must be a symbol such as 'SPX'")
        return symbols


class PreferenceStore:
    """Preferences in the user's file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Preferences:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT key, value FROM preferences").fetchall()
        return Preferences(**{key: json.loads(value) for key, value in rows})

    def change(self, values: Preferences) -> Preferences:
        """Set the keys that were given, leave the others; a key given as None is cleared. Gives all preferences."""
        given = values.model_dump(mode="json", exclude_unset=True)
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO preferences (key, value) VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in given.items() if value is not None],
            )
            connection.executemany(
                "DELETE FROM preferences WHERE key = ?", [(key,) for key, value in given.items() if value is None]
            )
        return self.read()
