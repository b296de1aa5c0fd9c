"""Pictures in a model's answer: shown to the user like those of tools, and never sent back to a model."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from agents.events import Image
from agents.pictures import media_type

ALT = "A picture by the model"
# In the place of the words of an answer that has none.
SHOWN = "Here is the picture."
NOT_SHOWN = "I have drawn a picture, but it can't be shown here."

_IMAGES = "dexorder_images"

Keep = Callable[[bytes], Awaitable[str]]


def pictures_of(message: BaseMessage) -> list[bytes]:
    """The pictures of a message: blocks in LangChain's standard form, or with data URLs in OpenAI's."""
    blocks = message.content if isinstance(message.content, list) else []
    return [picture for block in blocks if isinstance(block, dict) for picture in _picture(block)]


def without_pictures(message: AIMessage) -> AIMessage:
    """The message without its pictures' blocks."""
    if not isinstance(message.content, list):
        return message
    kept = [block for block in message.content if not (isinstance(block, dict) and _is_picture(block))]
    return message.model_copy(update={"content": kept or ""})


async def kept(pictures: list[bytes], *, keep: Keep) -> list[Image]:
    """The pictures that could be kept, as they are shown."""
    urls = [await keep(picture) for picture in pictures if media_type(picture)]
    return [Image(url, ALT) for url in urls if url]


def with_images(message: AIMessage, images: list[Image]) -> AIMessage:
    """The message with the pictures that were shown with it, for the conversation's history."""
    if not images:
        return message
    shown = [{"url": image.url, "alt": image.alt} for image in images]
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, _IMAGES: shown}})


def images_of(message: AIMessage) -> list[dict[str, str]]:
    """The pictures that were shown with a message."""
    found: list[dict[str, str]] = message.additional_kwargs.get(_IMAGES, [])
    return found


def _is_picture(block: dict[str, Any]) -> bool:
    return block.get("type") in {"image", "image_url"}


def _picture(block: dict[str, Any]) -> Iterator[bytes]:
    """The block's one picture, none where it has none: an address elsewhere is not followed."""
    if not _is_picture(block):
        return
    address = block.get("image_url") or ""
    url = str(address.get("url", "") if isinstance(address, dict) else address)
    encoded = block.get("base64") or (url.partition(";base64,")[2] if url.startswith("data:") else "")
    try:
        picture = base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        return
    if picture:
        yield picture
