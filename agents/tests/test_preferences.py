"""The gateway's preferences and the workspace's `set_preferences` are two packages that import nothing of each other."""

from copy import deepcopy
from typing import Any

from langchain_core.utils.json_schema import dereference_refs

from accounts.licences import Licence
from agents.mcp.pool import Pool
from agents.preferences import Preferences

# Where the gateway refuses what the workspace would only refuse, or not hold, later: NUL; a symbol's form, which is a
# validator's there and not in its schema.
STRICTER = {"model": "pattern", "watchlist": "items"}


async def test_the_gateway_has_each_preference_of_the_workspace_with_its_bounds(workspace: Licence) -> None:
    pool = Pool()
    try:
        tools = (await pool.session(workspace).tools()).tools
    finally:
        await pool.close()
    (schema,) = [dereference_refs(tool.schema) for tool in tools if tool.name == "set_preferences"]

    ours = _bounds(Preferences.model_json_schema()["properties"])
    assert ours == _bounds(schema["properties"]["values"]["properties"])


def _bounds(properties: dict[str, Any]) -> dict[str, Any]:
    """The forms that each may have, less what is meant to differ."""
    found = {name: deepcopy(each["anyOf"]) for name, each in properties.items()}
    for name, key in STRICTER.items():
        found[name][0].pop(key, None)
    return found
