"""Words as people may be shown them, whoever wrote them: without what nobody can see, and never markup (markdown).

A model gets a tool's words like that too: what hides text from people is read by it.
"""

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")
# Terminal colour codes that tools leave in their output (ECMA-48 control sequences).
ANSI = re.compile(r"\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])")
# As the web page has it, where it says why these, and which stay: static/js/text.js.
HIDDEN = re.compile(
    r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u200b\u202a-\u202e"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_END = re.compile(r"\r\n?")


def clean(text: str) -> str:
    """The text without terminal codes, control characters and invisible or direction-changing characters; tabs and lines stay."""
    return HIDDEN.sub("", ANSI.sub("", _LINE_END.sub("\n", text)))


def plain(text: str) -> str:
    """A text on one line without any markup. It is cleaned first: a terminal code could take an escape with it."""
    return _MARKUP.sub(r"\\\1", " ".join(clean(text).split()))
