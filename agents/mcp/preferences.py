"""The user's preferences, which the workspace keeps."""

from pydantic import ValidationError

from accounts.licences import Licence
from agents.errors import Refused
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool
from agents.mcp.results import ToolOutcome
from agents.preferences import Preferences


async def read_preferences(licence: Licence) -> Preferences:
    """See `agents.preferences.read_preferences`."""
    session = pool().session(licence)
    try:
        if not (await session.tools()).has("get_preferences"):
            return Preferences()
        return _preferences(await session.call_tool("get_preferences", {}, deadline_s=READ_S))
    except CallFailed as error:
        raise workspace_failure(error) from error


async def change_preferences(licence: Licence, values: Preferences) -> Preferences:
    """See `agents.preferences.change_preferences`."""
    session = pool().session(licence)
    arguments = {"values": values.model_dump(mode="json", exclude_unset=True)}
    try:
        if not (await session.tools()).has("set_preferences"):
            raise Refused("not_available", "Your workspace keeps no preferences.")
        outcome = await session.call_tool("set_preferences", arguments, deadline_s=READ_S)
        if outcome.failed:
            raise Refused("invalid", outcome.summary())
        return _preferences(outcome)
    except CallFailed as error:
        raise workspace_failure(error) from error


def _preferences(outcome: ToolOutcome) -> Preferences:
    """What the workspace says, of which a newer one may know more than we do. Raises CallFailed."""
    if outcome.failed:
        raise CallFailed(Reason.REFUSED, outcome.summary())
    known = {name: value for name, value in (outcome.structured or {}).items() if name in Preferences.model_fields}
    try:
        return Preferences.model_validate(known, strict=False)
    except ValidationError as error:
        raise CallFailed(Reason.REFUSED, "Its answer is not a set of preferences.") from error
