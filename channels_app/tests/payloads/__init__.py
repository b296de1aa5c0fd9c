"""What the platforms post, one file each: written by hand after the examples and field lists of their documentation.

Sources: core.telegram.org/bots/api ("Update", "Message"); docs.slack.dev (Events API, block actions, slash commands);
discord.com/developers ("Interactions", "Message"). `form_…` of Slack is posted as a form, whose `payload` is JSON in turn;
`gateway_…` of Discord is what its Gateway tells by MESSAGE_CREATE, and is posted nowhere.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

FOLDER = Path(__file__).parent
PLATFORMS = ("discord", "slack", "telegram")
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


def names(platform: str) -> list[str]:
    """The payloads of a platform."""
    return sorted(path.stem for path in (FOLDER / platform).glob("*.json"))


def load(platform: str, name: str) -> dict[str, Any]:
    """A payload as its file has it."""
    value: dict[str, Any] = json.loads((FOLDER / platform / f"{name}.json").read_text(encoding="utf-8"))
    return value


def as_parsed(name: str, value: Any) -> Any:
    """A payload as `Channel.parse` is given it."""
    is_nested = name.startswith("form_") and isinstance(value, dict) and "payload" in value
    return value | {"payload": json.dumps(value["payload"])} if is_nested else value


def as_posted(name: str, value: Any) -> tuple[bytes, str]:
    """A payload's body and content type."""
    if not name.startswith("form_") or not isinstance(value, dict):
        return json.dumps(value).encode(), JSON_TYPE
    fields = {key: each if isinstance(each, str) else json.dumps(each) for key, each in value.items()}
    return urlencode(fields, errors="surrogatepass").encode(), FORM_TYPE
