"""The user's preferences for the rest of the gateway: they live in the user's workspace."""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from accounts.licences import Licence
from agents.lazy import load

JSON = dict[str, Any]

Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9^][A-Za-z0-9._/-]{0,31}$")]


class Preferences(BaseModel):
    """What the user wants; null = no wish. The names and bounds are those of the workspace's `set_preferences`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Favourite model, as provider/name."
    )
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = Field(
        None, description="Language of the answers, a BCP 47 tag."
    )
    time_zone: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="IANA time zone for dates and schedules."
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(None, description="ISO 4217 code.")
    units: Literal["metric", "imperial"] | None = Field(None, description="Units of what is not money.")
    number_format: Literal["1,234.56", "1.234,56", "1 234,56", "1'234.56"] | None = Field(
        None, description="How numbers are written, told by an example."
    )
    date_format: Literal["YYYY-MM-DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY"] | None = Field(
        None, description="How dates are written."
    )
    risk_tolerance: Literal["low", "medium", "high"] | None = Field(None, description="How much risk the user bears.")
    max_position_percent: Percent | None = Field(None, description="Largest position, in percent of the account.")
    max_drawdown_percent: Percent | None = Field(None, description="Largest acceptable loss from a peak, in percent.")
    max_daily_loss_percent: Percent | None = Field(None, description="Largest acceptable loss of a day, in percent.")
    max_leverage: Percent | None = Field(None, description="Largest sum of positions, as a multiple of the account.")
    watchlist: Annotated[list[Symbol], Field(max_length=50)] | None = Field(
        None, description="Symbols the user follows."
    )


async def read_preferences(licence: Licence) -> Preferences:
    """All of them; starts the workspace if need be. Raises AgentFailed.

    Of a server that keeps none (one set by staff) all are None.
    """
    reader = await load("agents.mcp.preferences")
    return cast("Preferences", await reader.read_preferences(licence))


async def change_preferences(licence: Licence, values: Preferences) -> Preferences:
    """Set those that `values` was given, clear those that it was given as None; all of them, as read_preferences.

    Raises Refused `invalid` for a value that the workspace refuses, `not_available` for a server that keeps no preferences,
    and AgentFailed.
    """
    writer = await load("agents.mcp.preferences")
    return cast("Preferences", await writer.change_preferences(licence, values))
