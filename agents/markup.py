"""Words that are never markup (markdown), whoever wrote them."""

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def plain(text: str) -> str:
    """A text on one line without any markup."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
