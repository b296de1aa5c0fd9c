"""Words on their way into a channel: what nobody can see is left out, and an answer has an end."""

import re
from collections.abc import Sequence

from channels_app.channels import Button, Channel, Part

# More is a flood: at a message a second the rest of the chat waits behind it.
MOST_PARTS = 10
REST = "The rest stands on the web page."

# Terminal colour codes that tools leave in their output (ECMA-48 control sequences).
ANSI = re.compile(r"\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])")
# As the web page has it, where it says why these, and which stay: static/js/text.js.
HIDDEN = re.compile(
    r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u200b\u202a-\u202e"
    r"\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_END = re.compile(r"\r\n?")


def clean(text: str) -> str:
    """The text without terminal codes, control characters and invisible or direction-changing characters."""
    return HIDDEN.sub("", ANSI.sub("", _LINE_END.sub("\n", text)))


def composed(channel: Channel, markdown: str, *, below: Sequence[str] = ()) -> list[Part]:
    """The text as messages of the channel, with lines below it; of a very long one the beginning, and where the rest is."""
    parts = channel.compose(clean(_paragraphs(markdown, *below)))
    if len(parts) <= MOST_PARTS:
        return parts
    rest = channel.compose(clean(_paragraphs(REST, *below)))[:MOST_PARTS]
    return [*parts[:MOST_PARTS], *(part | {"below": True} for part in rest)]


def previewed(channel: Channel, markdown: str) -> Part | None:
    """The beginning of a text that is still being written."""
    return channel.preview(clean(markdown))


def with_buttons(channel: Channel, markdown: str, buttons: Sequence[Button]) -> list[Part]:
    """A question with its buttons."""
    return channel.ask(clean(markdown), [Button(clean(button.label), button.token) for button in buttons])


def pictured(channel: Channel, url: str, alt: str) -> Part | None:
    """A picture with its words."""
    return channel.picture(url, clean(alt))


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
