"""Words on their way into a channel: what nobody can see is left out, and an answer has an end."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from agents.markup import clean
from channels_app.channels import Button, Channel, Part

# More is a flood: at a message a second the rest of the chat waits behind it.
MOST_PARTS = 10
REST = gettext_noop("The rest stands on the web page.")


def composed(channel: Channel, markdown: str, *, below: Sequence[str] = ()) -> list[Part]:
    """The text as messages of the channel, with lines below it; of a very long one the beginning, and where the rest is."""
    parts = channel.compose(clean(_paragraphs(markdown, *below)))
    if len(parts) <= MOST_PARTS:
        return parts
    rest = channel.compose(clean(_paragraphs(_(REST), *below)))[:MOST_PARTS]
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


def in_own_words(text: str) -> str:
    """The text, whose paragraphs that are sentences of the gateway's own are said in the reader's language."""
    return "\n\n".join(_(paragraph) for paragraph in text.split("\n\n"))


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
