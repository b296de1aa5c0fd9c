"""Approvals and questions in a chat's words (markdown). What a workflow or a tool wrote is never markup here."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.channel_names import place_of
from agents.forms import Field, fields, typed_form
from agents.markup import plain
from agents.waits import code_of

JSON = dict[str, Any]
MAX_VALUE_CHARS = 300
OUTCOMES = {
    "approved": gettext_noop("✅ Approved"),
    "rejected": gettext_noop("❌ Rejected"),
    "answered": gettext_noop("✅ Answered"),
    "declined": gettext_noop("Not answered"),
    "expired": gettext_noop("⌛ Not decided in time: nothing was done"),
    "cancelled": gettext_noop("Withdrawn: its message was stopped"),
}
WRITE, REPLY = gettext_noop("write your answer here"), gettext_noop("reply to this message")
ASKED_IN_PRIVATE = gettext_noop(
    "I have asked you something in our private chat, and go on here once you have answered."
)
# What became of it by itself.
_NOBODYS = frozenset({"gateway", ""})


def approval(payload: JSON) -> str:
    """An approval with what it is about, until when, and what to type."""
    code = code_of(payload["approval"])
    return "\n\n".join(
        [
            f"**{plain(payload['title'])}**",
            *_details(payload["details"]),
            _("Decide until {time}, here or by `/approve {code}` or `/reject {code}`.").format(
                time=_until(payload["expires_at"]), code=code
            ),
        ]
    )


def question(payload: JSON, *, with_buttons: bool, ways: Sequence[str] = ()) -> str:
    """A question, until when, and how to answer it; `ways` are those of its chat to answer one that asks for words."""
    code, asked = code_of(payload["question"]), fields(payload["schema"])
    until = _until(payload["expires_at"])
    lines = [f"**{plain(payload['text'])}**"]
    if not with_buttons and len(asked) > 1:
        lines.append("\n".join(f"- {_field(each)}" for each in asked))
        how = _("Answer until {time}, by this, a line for each value:")
        lines.append(f"{how.format(time=until)}\n\n{typed_form(payload['schema'], code=code)}")
    elif not with_buttons and asked and ways:
        how = _("Answer until {time}: {ways}, or type `/answer {code}` and your answer")
        lines.append(how.format(time=until, ways=", ".join(_(way) for way in ways), code=code))
    else:
        lines.append(_("Answer until {time}, by `/answer {code}` and your answer").format(time=until, code=code))
    return "\n\n".join(lines)


def settled(payload: JSON, *, short: bool = False) -> str:
    """What became of an approval or question; with what was asked unless `short`."""
    outcome = str(payload.get("decision") or payload.get("outcome"))
    where = payload["by_channel"]
    decided = outcome not in {"expired", "cancelled"} and where not in _NOBODYS
    place = f" {plain(place_of(str(where)))}" if decided else ""
    title = plain(str(payload.get("title") or payload.get("text") or ""))
    details = [] if short else _details(payload.get("details") or {})
    return "\n\n".join([f"**{title[:500]}**", *details, f"{_(OUTCOMES.get(outcome, outcome))}{place}."])


def _details(details: JSON) -> list[str]:
    lines = [f"- {plain(str(name))}: {plain(_value(value))}" for name, value in details.items()]
    return ["\n".join(lines)] if lines else []


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"


def _field(field: Field) -> str:
    choices = f" ({', '.join(plain(label) for _, label in field.choices)})" if field.choices else ""
    left_out = "" if field.required else _(", may be left out")
    return f"{plain(field.title)}{choices}{left_out}"


def _until(expires_at: str) -> str:
    return f"{datetime.fromisoformat(expires_at):%H:%M} UTC"
