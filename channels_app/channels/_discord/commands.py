"""The slash commands of the bot, as Discord lists them. Source: discord.com/developers, "Application Commands"."""

from typing import Any

from channels_app.channels._discord import api
from channels_app.channels._discord.interactions import ATTACHMENT
from channels_app.channels._settings import setting

# In servers, and in direct messages with the bot.
GUILD, BOT_DM = 0, 1
TEXT = 3
FILE = "A picture or a document"
# Each with what it does, and the option that its words go into: name, description, whether it must be there.
COMMANDS: dict[str, tuple[str, tuple[str, str, bool] | None]] = {
    "ask": ("Ask your trading agent", ("text", "Your question", True)),
    "new": ("Begin a new conversation", None),
    "stop": ("Stop the answers being written", None),
    "model": ("Which models there are, or which one shall answer", ("name", "The model", False)),
    "status": ("Your workspace and what is running", None),
    "usage": ("What you have used, and what is left", None),
    "approve": ("Approve what waits for your decision", ("code", "Its code", False)),
    "reject": ("Reject what waits for your decision", ("code", "Its code", False)),
    "answer": ("Answer a question of the agent", ("text", "Its code and your answer", True)),
    "analyse": ("Test a strategy, and deploy it on paper if you approve", ("text", "What to analyse", True)),
    "alert": ("Be told when a price crosses a level", ("text", "Such as: BTC below 50000", False)),
    "schedule": ("Have something done at set times", ("text", "Such as: daily 08:00 portfolio review", False)),
    "busy": ("What becomes of a message that comes during an answer", ("policy", "The policy", False)),
    "link": ("Link this account to your Dexorder user", ("code", "The code of your account page", False)),
    "unlink": ("Unlink this account", None),
    "help": ("What I can do", None),
}


def listed() -> list[dict[str, Any]]:
    """The commands as Discord takes them."""
    made = []
    for name, (description, option) in COMMANDS.items():
        options: list[dict[str, Any]] = []
        if option is not None:
            options = [{"type": TEXT, "name": option[0], "description": option[1], "required": option[2]}]
        if name == "ask":
            options.append({"type": ATTACHMENT, "name": "file", "description": FILE, "required": False})
        made.append(
            {
                "name": name,
                "description": description,
                "options": options,
                "type": 1,
                "contexts": [GUILD, BOT_DM],
            }
        )
    return made


async def register() -> list[str]:
    """Make Discord's list this one, and return the names that it has now. Raises DeliveryError."""
    answer = await api.call("PUT", f"/applications/{setting(api.APPLICATION_ID)}/commands", listed())
    return [str(each.get("name")) for each in answer if isinstance(each, dict)] if isinstance(answer, list) else []
