"""A model vendor's errors as the turn's own: a code, a sentence for the user, and whether a retry may help."""

import json
from collections.abc import Iterator

import httpx
import httpx2
import structlog
from langchain_core.exceptions import ContextOverflowError, ModelError

from agents.errors import AgentFailed
from agents.providers._wire.errors import StatusError, StreamError

log = structlog.get_logger(__name__)

# What a model call raises besides the vendor package's own errors: a broken stream comes through as a raw httpx, httpx2
# or JSON error, and a reply of another shape as whatever the parsing trips over.
BROKEN = (ModelError, StatusError, StreamError, httpx.HTTPError, httpx2.HTTPError, OSError, EOFError)
GARBLED = (ValueError, TypeError, LookupError, AttributeError)
VENDOR_ERRORS: tuple[type[Exception], ...] = (*BROKEN, *GARBLED)

_OVERLOADED = 529


def agent_failure(error: Exception, *, label: str) -> AgentFailed:
    """What `error` means for the turn; `label` is the provider's name for people.

    The sentence holds nothing of the vendor's own text: it may carry addresses, keys or account names. The error's kind
    and HTTP status go to the log.
    """
    status = next((s for s in map(_status, _chain(error)) if s is not None), None)
    log.warning("model_call_failed", provider=label, kind=type(error).__name__, status=status)
    if any(isinstance(each, ContextOverflowError) for each in _chain(error)):
        return AgentFailed("context_too_long", "This conversation is too long for the model. Begin another with /new.")
    if status is not None:
        return _by_status(status, label)
    if any(isinstance(each, TimeoutError | httpx.TimeoutException | httpx2.TimeoutException) for each in _chain(error)):
        return AgentFailed("provider_unavailable", f"{label} did not answer in time.", retryable=True)
    if any(isinstance(each, httpx.ConnectError | httpx2.ConnectError) for each in _chain(error)):
        return AgentFailed("provider_unavailable", f"{label} can't be reached at the moment.", retryable=True)
    if any(isinstance(each, (*GARBLED, json.JSONDecodeError)) for each in _chain(error)):
        return AgentFailed("provider_unavailable", f"{label} sent an answer that can't be read.", retryable=True)
    return AgentFailed("provider_unavailable", f"The connection to {label} broke off.", retryable=True)


def _by_status(status: int, label: str) -> AgentFailed:
    if status in {401, 403}:
        return AgentFailed(
            "provider_rejected", f"{label} refuses this service's credentials. Its operator must check the key."
        )
    if status == 402:
        return AgentFailed("provider_rejected", f"This service's account at {label} has no credit left.")
    if status == 404:
        return AgentFailed("provider_rejected", f"{label} does not have this model. Choose another with /model.")
    if status == 429:
        return AgentFailed("rate_limited", f"{label} is receiving too many requests at the moment.", retryable=True)
    if status in {408, _OVERLOADED} or status >= 500:
        return AgentFailed("provider_unavailable", f"{label} has a problem at the moment.", retryable=True)
    return AgentFailed("provider_rejected", f"{label} did not accept the request.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it was raised from, innermost last; what is below the transport says nothing of the vendor."""
    current: BaseException | None = error
    while current is not None:
        yield current
        if isinstance(current, httpx2.TransportError):
            return
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status in the places where the vendors' packages put it."""
    for owner in (error, getattr(error, "response", None)):
        for name in ("status_code", "code"):
            value = getattr(owner, name, None)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return None
