"""How much a request asks of a model, judged from what it says and comes with, without asking a model."""

import re
from dataclasses import dataclass
from typing import Literal

Level = Literal["simple", "normal", "complex"]

# A question of a line or two.
SHORT_CHARACTERS = 200
# More than a person writes for a simple thing.
LONG_CHARACTERS = 1000
# From here on a small model loses the thread.
LONG_CONVERSATION_TOKENS = 24_000
# So many questions or listed points are a task of several steps.
SEVERAL = 3

# Work that takes several tools in turn, or thought between them.
_WORK = re.compile(
    r"\b(back-?test|optimi[sz]|sweep|strateg|portfolio|risk|correlat|analy[sz]e|analysis|deploy|debug|hedg|drawdown"
    r"|walk-?forward|monte carlo|rebalanc|compare|why did|step by step)\w*",
    re.IGNORECASE,
)
_CODE = re.compile(r"```|^\s*(def|class|import|from) \w", re.MULTILINE)
_POINT = re.compile(r"^\s*([-*•]|\d+[.)])\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known of a request before a model sees it. `history_tokens` = its conversation so far.

    `pictures` are those of its `attachments` that a model must look at.
    """

    text: str
    attachments: int = 0
    pictures: int = 0
    history_tokens: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What the request needs: `why` completes "a large model for …"; `tokens` are those that must fit at the least.

    `sight`: there are pictures to look at.
    """

    level: Level = "normal"
    why: str = ""
    tokens: int = 0
    sight: bool = False


def judge(ask: Ask) -> Demand:
    """The demand of a request."""
    sign, sight = _sign(ask), ask.pictures > 0
    if sign:
        return Demand("complex", sign, ask.tokens, sight)
    if len(ask.text) <= SHORT_CHARACTERS:
        return Demand("simple", "a short question", ask.tokens, sight)
    return Demand("normal", "", ask.tokens, sight)


def _sign(ask: Ask) -> str:
    """The first sign of a hard request, "" when there is none."""
    work = _WORK.search(ask.text)
    signs = (
        (ask.attachments > 0, "what is attached"),
        (work is not None, f"work with several tools ({work[0].lower() if work else ''})"),
        (bool(_CODE.search(ask.text)), "a request with code"),
        (max(ask.text.count("?"), len(_POINT.findall(ask.text))) >= SEVERAL, "several questions at once"),
        (len(ask.text) > LONG_CHARACTERS, "a long request"),
        (ask.history_tokens > LONG_CONVERSATION_TOKENS, "a long conversation"),
    )
    return next((why for there, why in signs if there), "")
