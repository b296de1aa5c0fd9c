"""Approvals and questions in a chat's words (markdown). What a workflow or a tool wrote is never markup here."""

import json
import re
from datetime import datetime
from typing import Any

from accounts.channel_names import place_of
from agents.forms import Field, fields
from agents.waits import code_of
from channels_app.wording import clean

JSON = dict[str, Any]
MAX_VALUE_CHARS = 300
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")
OUTCOMES = {
    "approved": "✅ Approved",
    "rejected": "❌ Rejected",
    "answered": "✅ Answered",
    "declined": "Not answered",
    "expired": "⌛ Not decided in time: nothing was done",
    "cancelled": "Withdrawn: its message was stopped",
}
ASKED_IN_PRIVATE = "I have asked you something in our private chat, and go on here once you have answered."
# What became of it by itself.
_NOBODYS = frozenset({"gateway", ""})


def approval(payload: JSON) -> str:
    """An approval with what it is about, until when, and what to type."""
    code = code_of(payload["approval"])
    return "\n\n".join(
        [
            f"**{plain(payload['title'])}**",
            *_details(payload["details"]),
            f"Decide until {_until(payload['expires_at'])}, here or by `/approve {code}` or `/reject {code}`.",
        ]
    )


def question(payload: JSON, *, with_buttons: bool) -> str:
    """A question, until when, and how to answer it."""
    code, asked = code_of(payload["question"]), fields(payload["schema"])
    lines = [f"**{plain(payload['text'])}**"]
    if not with_buttons and len(asked) > 1:
        lines.append("\n".join(f"- {_field(each)}" for each in asked))
        example = "\n".join(f"{each.name}: …" for each in asked)
        how = f"by this, a line for each value:\n\n```\n/answer {code}\n{example}\n```"
    else:
        how = f"by `/answer {code}` and your answer"
    lines.append(f"Answer until {_until(payload['expires_at'])}, {how}")
    return "\n\n".join(lines)


def settled(payload: JSON, *, short: bool = False) -> str:
    """What became of an approval or question; with what was asked unless `short`."""
    outcome = str(payload.get("decision") or payload.get("outcome"))
    where = payload["by_channel"]
    decided = outcome not in {"expired", "cancelled"} and where not in _NOBODYS
    place = f" {plain(place_of(str(where)))}" if decided else ""
    title = plain(str(payload.get("title") or payload.get("text") or ""))
    details = [] if short else _details(payload.get("details") or {})
    return "\n\n".join([f"**{title[:500]}**", *details, f"{OUTCOMES.get(outcome, outcome)}{place}."])


def plain(text: str) -> str:
    """A text on one line without any markup, and without what nobody can see, which could take an escape with it."""
    return _MARKUP.sub(r"\\\1", " ".join(clean(text).split()))


def _details(details: JSON) -> list[str]:
    lines = [f"- {plain(str(name))}: {plain(_value(value))}" for name, value in details.items()]
    return ["\n".join(lines)] if lines else []


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"


def _field(field: Field) -> str:
    choices = f" ({', '.join(plain(label) for _, label in field.choices)})" if field.choices else ""
    return f"{plain(field.title)}{choices}{'' if field.required else ', may be left out'}"


def _until(expires_at: str) -> str:
    return f"{datetime.fromisoformat(expires_at):%H:%M} UTC"
