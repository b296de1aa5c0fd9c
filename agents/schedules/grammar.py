"""What a person types after /schedule and /alert. Pure; whatever is typed, nothing is raised."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agents.schedules.rules import DAYS, Rule

Direction = Literal["above", "below"]

MOST_TEXT = 2000
SCHEDULE_HELP = """\
/schedule daily 08:00 portfolio review
/schedule weekdays 17:30 How did SPX do today?
/schedule weekly monday 09:00 portfolio review
/schedule – the list · /schedule delete 2
Add `via telegram` at the end to be told in another chat app of yours, `2 via web` moves number 2."""
ALERT_HELP = """\
/alert BTC below 50000
/alert SPX above 3,000.50
/alert – the list · /alert delete 2
Add `via telegram` at the end to be told in another chat app of yours, `2 via web` moves number 2."""

_DELETE = re.compile(r"(?:delete|remove|cancel|stop)\s+#?(\d{1,9})", re.IGNORECASE)
_REDIRECT = re.compile(r"#?(\d{1,9})\s+via\s+([a-z][a-z0-9_]{0,63})", re.IGNORECASE)
_VIA = re.compile(r"(.*?)\s+via\s+([a-z][a-z0-9_]{0,63})", re.IGNORECASE | re.DOTALL)
_TIMES = r"(?:daily|every\s+day)|(?:weekdays|every\s+weekday)|(?:(?:weekly\s+(?:on\s+)?|every\s+)?(?:%s)[a-z]*)"
_WHEN = re.compile(
    rf"(?P<every>{_TIMES % '|'.join(day[:3] for day in DAYS)})\s+(?:at\s+)?"
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2}))?(?:\s*(?P<half>am|pm))?(?:\s+|:\s+|$)(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ALERT = re.compile(
    r"(?P<symbol>[\w^][\w^&.:/ '-]{0,63}?)\s+(?:(?:is|falls|goes|rises|drops|gets)\s+)?"
    r"(?P<word>below|under|above|over)\s+(?P<level>[^\s].*)",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"(?P<symbol>[\w^][\w^&.:/ '-]{0,63}?)\s*(?P<word>[<>])=?\s*(?P<level>[^\s].*)", re.IGNORECASE)
_LEVEL = re.compile(r"[$€£]?\s?(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(\.\d{1,12})?\s*([km])?", re.IGNORECASE)
_WORDS: dict[str, Direction] = {
    "below": "below", "under": "below", "<": "below", "above": "above", "over": "above", ">": "above",
}  # fmt: skip
_SCALES = {"k": 1_000, "m": 1_000_000, None: 1}


@dataclass(frozen=True, slots=True)
class ShowList:
    """Tell what there is."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the one of that number."""

    number: int


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """The text is none of these; `message` says what is."""

    message: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Tell the one of that number in the channel `via` from now on."""

    number: int
    via: str


@dataclass(frozen=True, slots=True)
class NewTask:
    """Do what `text` says whenever `rule` is due. `via` names the channel, "" = this one."""

    rule: Rule
    text: str
    via: str = ""

    def words(self) -> str:
        """The task as a person types it."""
        return f"{self.rule.words()} {self.text}{_via_words(self.via)}"


@dataclass(frozen=True, slots=True)
class NewAlert:
    """Tell when the price of `symbol` goes `direction` the `level`."""

    symbol: str
    direction: Direction
    level: Decimal
    via: str = ""

    def words(self) -> str:
        """The alert as a person types it."""
        return f"{self.symbol} {self.direction} {self.level:f}{_via_words(self.via)}"


def parse_schedule(text: str) -> ShowList | Delete | Redirect | NewTask | Misunderstood:
    """What is meant by the words after /schedule."""
    text = text.strip()
    if common := _common(text):
        return common
    text, via = _without_via(text)
    found = _WHEN.fullmatch(text)
    rule = _rule(found) if found else None
    if found is None or rule is None:
        return Misunderstood(f"I didn't understand when. For example:\n\n{SCHEDULE_HELP}")
    wanted = found["text"].strip()
    if not wanted or len(wanted) > MOST_TEXT:
        return Misunderstood(f"Say what I should do then, in at most {MOST_TEXT:,} characters:\n\n{SCHEDULE_HELP}")
    return NewTask(rule, wanted, via)


def parse_alert(text: str) -> ShowList | Delete | Redirect | NewAlert | Misunderstood:
    """What is meant by the words after /alert."""
    text = " ".join(text.split())
    if common := _common(text):
        return common
    text, via = _without_via(text)
    found = _ALERT.fullmatch(text) or _SIGNED.fullmatch(text)
    level = _level(found["level"]) if found else None
    if found is None or level is None:
        return Misunderstood(f"I didn't understand that. For example:\n\n{ALERT_HELP}")
    return NewAlert(found["symbol"].strip(), _WORDS[found["word"].lower()], level, via)


def price_words(price: Decimal) -> str:
    """A price for people: two digits after the point, of small ones as many as say something."""
    digits = 2 if abs(price) >= 1 else 8
    rounded = f"{price:,.{digits}f}"
    return rounded.removesuffix(".00") if digits == 2 else rounded.rstrip("0").rstrip(".") or "0"


def _common(text: str) -> ShowList | Delete | Redirect | None:
    if text.lower() in {"", "list", "show"}:
        return ShowList()
    if redirected := _REDIRECT.fullmatch(text):
        return Redirect(int(redirected[1]), redirected[2].lower())
    deleted = _DELETE.fullmatch(text)
    return Delete(int(deleted[1])) if deleted else None


def _without_via(text: str) -> tuple[str, str]:
    found = _VIA.fullmatch(text)
    return (found[1], found[2].lower()) if found else (text, "")


def _via_words(via: str) -> str:
    return f" via {via}" if via else ""


def _rule(found: re.Match[str]) -> Rule | None:
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    elif not found["minute"]:
        # "daily 8 reports" may mean eight reports.
        return None
    every = found["every"].lower().split()[-1]
    try:
        if every in {"daily", "day"}:
            return Rule("daily", hour, minute)
        if every in {"weekdays", "weekday"}:
            return Rule("weekdays", hour, minute)
        day = next(index for index, name in enumerate(DAYS) if f"{name}s".startswith(every))
        return Rule("weekly", hour, minute, day)
    except (ValueError, StopIteration):
        return None


def _level(text: str) -> Decimal | None:
    found = _LEVEL.fullmatch(text.strip())
    if found is None or not found[1].isascii():
        return None
    level = Decimal(found[1].replace(",", "") + (found[2] or "")) * _SCALES[found[3].lower() if found[3] else None]
    return level if level > 0 else None
