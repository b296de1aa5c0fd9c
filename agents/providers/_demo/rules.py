"""The demo model's rules: the first one that understands a message decides which tool is called, or what is said."""

import re
from collections.abc import Callable

from agents.providers._demo.answers import phrase
from agents.providers._demo.talk import JSON, Call, Say, Step, Talk
from agents.providers._demo.trading import workflow_step

HELP = (
    "I'm the **demo model**: I follow simple rules, but I use the real tools of your workspace. Try:\n\n"
    "- RSI of SPX over the last 252 bars?\n"
    "- 50-day SMA and MACD of IXIC\n"
    "- Analyse sma_crossover on SPX (you are asked before it is deployed)\n"
    "- List the instruments\n"
    "- Price of SPX\n"
    "- Remember that I trade only index futures\n"
    "- What do you remember about futures?\n"
    "- What are my preferences?\n"
    "- My name is Ada. … What is my name?\n"
)

INDICATORS = ("RSI", "SMA", "MACD")

# The most that get_bars gives at once.
MOST_BARS = 500

# What may stand between an indicator or a price and its instrument, and words that are no instrument.
_SYMBOL = re.compile(r"\b(?:of|for|on)\s+(?:the\s+)?([A-Za-z^][\w^&.'/-]*(?:\s+500)?)", re.IGNORECASE)
_UPPER = re.compile(r"(?<![\w^])(\^?[A-Z][A-Z0-9.]{1,9}(?:&P\s*500)?|S&P\s*500)\b")
_LAST = re.compile(
    r"\b(?:last|past|latest)\s+(\d{1,6})\s*(?:trading\s+)?(?:bars?|days?|sessions?|candles?)?", re.IGNORECASE
)
_DATES = re.compile(r"\b(from|since|after|until|to|till|before)\s+(\d{4}-\d\d-\d\d)\b", re.IGNORECASE)
_NAME_GIVEN = re.compile(r"\bmy name is\s+([^\s,.;!?][^,.;!?\n]{0,60})|\bcall me\s+([^\s,.;!?]+)", re.IGNORECASE)

_ASKED_EARLIER = re.compile(
    r"\bwhat\b.*\b(?:did i|have i|was i|i)\b.*\b(?:say|said|ask|asked|asking|write|wrote)\b", re.IGNORECASE
)

Rule = Callable[[Talk], Step | None]


def next_step(talk: Talk) -> Step:
    """What the demo model does next: once a tool has answered, it phrases the answer."""
    if talk.replies:
        return Say(phrase(talk.replies))
    return next((step for rule in RULES if (step := rule(talk)) is not None), Say(HELP))


def _indicators(talk: Talk) -> Step | None:
    wanted = [_wanted(name, talk.message) for name in INDICATORS if _mentions(name, talk.message)]
    if not wanted:
        return None
    symbol = _symbol(talk.message)
    if symbol is None:
        return Say("Which instrument do you mean? For example: RSI of SPX over the last 252 bars.")
    return Call("compute_indicators", {"symbol": symbol, "indicators": wanted, **_range(talk.message)})


def _instruments(talk: Talk) -> Step | None:
    asked = re.search(r"\b(instrument(s|e)?|symbols?|markets?)\b", talk.message, re.IGNORECASE)
    return Call("list_instruments") if asked else None


def _bars(talk: Talk) -> Step | None:
    asked = re.search(r"\b(prices?|quotes?|bars?|closes?|closing|ohlc)\b", talk.message, re.IGNORECASE)
    symbol = _symbol(talk.message)
    if not asked or symbol is None:
        return None
    wanted = {"limit": 5, **_range(talk.message)}
    return Call("get_bars", {"symbol": symbol, **wanted, "limit": min(wanted["limit"], MOST_BARS)})


def _remember(talk: Talk) -> Step | None:
    asked = re.match(r"\s*(?:please\s+)?remember\s*(?:that\b|:)?\s*(.+)", talk.message, re.IGNORECASE | re.DOTALL)
    return Call("remember", {"content": asked[1].strip()[:4000]}) if asked else None


def _recall(talk: Talk) -> Step | None:
    asked = re.search(
        r"\b(?:do you|can you|what you)\s+(?:remember|know)\b(?:.*?\babout\s+(.+))?", talk.message, re.IGNORECASE
    )
    if not asked:
        return None
    topic = re.sub(r"[^\w\s-]", " ", asked[1] or "").strip()
    if not topic or topic.lower() in {"me", "my", "us"}:
        return Call("list_memories")
    return Call("search_memory", {"query": topic[:400]})


def _preferences(talk: Talk) -> Step | None:
    return Call("get_preferences") if re.search(r"\bpreferences?\b", talk.message, re.IGNORECASE) else None


def _name(talk: Talk) -> Step | None:
    if re.search(r"\b(what(?:'s|’s| is) my name|who am i)\b", talk.message, re.IGNORECASE):
        name = next((name for text in reversed(talk.said[:-1]) if (name := _name_in(text))), None)
        return Say(
            f"Your name is {name}; you told me in this conversation." if name else "You haven't told me your name yet."
        )
    name = _name_in(talk.message)
    return Say(f"Nice to meet you, {name}. I'll know it for the rest of this conversation.") if name else None


def _earlier(talk: Talk) -> Step | None:
    asked = _ASKED_EARLIER.search(talk.message)
    if not asked:
        return None
    earlier = talk.said[:-1]
    if not earlier:
        return Say("This is the first message of our conversation.")
    return Say("You wrote before: " + "; ".join(f"“{text.strip()[:200]}”" for text in earlier[-3:]))


RULES: tuple[Rule, ...] = (
    workflow_step,
    _remember,
    _recall,
    _name,
    _earlier,
    _indicators,
    _bars,
    _instruments,
    _preferences,
)


def _mentions(indicator: str, message: str) -> bool:
    return re.search(rf"\b{indicator}\b", message, re.IGNORECASE) is not None


def _wanted(indicator: str, message: str) -> JSON:
    """The indicator, with the period of "RSI(21)" or "50-day SMA"; MACD's three stay at their defaults."""
    after, before = rf"\b{indicator}\s*\(\s*(\d{{1,4}})\s*\)", rf"\b(\d{{1,4}})[\s-]*(?:day|bar)s?\s+{indicator}\b"
    period = re.search(f"{after}|{before}", message, re.IGNORECASE)
    if indicator == "MACD" or period is None:
        return {"name": indicator}
    return {"name": indicator, "params": {"timeperiod": int(period[1] or period[2])}}


def _symbol(message: str) -> str | None:
    """The instrument after "of", "for" or "on", else the first word in capitals that names no indicator."""
    named = _SYMBOL.search(message)
    if named and named[1].upper() not in INDICATORS and named[1].lower() not in {"all", "last", "my", "bars"}:
        return named[1].rstrip(".'")
    capitals = (found[1] for found in _UPPER.finditer(message))
    return next((word for word in capitals if word.upper() not in {*INDICATORS, "OHLC"}), None)


def _range(message: str) -> JSON:
    """`limit`, `start` and `end` as far as the message names them."""
    found: JSON = {}
    for word, day in _DATES.findall(message):
        found["start" if word.lower() in {"from", "since", "after"} else "end"] = day
    last = _LAST.search(message)
    if last:
        found["limit"] = max(1, int(last[1]))
    return found


def _name_in(text: str) -> str | None:
    found = _NAME_GIVEN.search(text)
    return (found[1] or found[2]).strip() if found else None
