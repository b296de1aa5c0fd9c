"""Sum up a conversation without understanding it: what the person wrote, in short."""

import re

MOST_LINES = 60
LINE_CHARACTERS = 160

_SAID = re.compile(r"^\[user, [^\]]*\] (.+)$", re.MULTILINE)
_BEFORE = re.compile(r"^- .+$", re.MULTILINE)


def digest(transcript: str) -> str:
    """The newest lines of the summary before and of the person's messages."""
    said = [f"- {line[:LINE_CHARACTERS]}" for line in _SAID.findall(transcript)]
    before, found, _ = transcript.partition("</summary>")
    lines = [*(_BEFORE.findall(before) if found else []), *said]
    return "The person wrote, among other things:\n" + "\n".join(lines[-MOST_LINES:])
