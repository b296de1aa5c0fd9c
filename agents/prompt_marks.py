"""Marks on messages that no provider sends: what they are for, and where a prompt may be kept by a provider's cache."""

from typing import TypeVar

from langchain_core.messages import BaseMessage

M = TypeVar("M", bound=BaseMessage)

_ASIDE = "dexorder_aside"
_KEEP = "dexorder_keep"


def as_aside(message: M) -> M:
    """The message as one that the gateway put in, not the person."""
    return _with(message, _ASIDE)


def is_aside(message: BaseMessage) -> bool:
    """Whether the gateway put the message in."""
    return bool(message.additional_kwargs.get(_ASIDE))


def as_kept(message: M) -> M:
    """The message as the end of a beginning that a later prompt will share."""
    return _with(message, _KEEP)


def is_kept(message: BaseMessage) -> bool:
    """Whether a provider that wants to be told should keep the prompt up to and with this message."""
    return bool(message.additional_kwargs.get(_KEEP))


def _with(message: M, mark: str) -> M:
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, mark: True}})
