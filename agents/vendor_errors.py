"""A model vendor's errors as the turn's own: a code, a sentence for the user, and what other models have to do with it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import httpx2
import structlog
from langchain_core.exceptions import ContextOverflowError, ModelError

from agents.circuits import Trouble
from agents.errors import AgentFailed
from agents.providers._wire.errors import StatusError, StreamError

log = structlog.get_logger(__name__)

# What a model call raises besides the vendor package's own errors: a broken stream comes through as a raw httpx, httpx2
# or JSON error, and a reply of another shape as whatever the parsing trips over.
BROKEN = (ModelError, StatusError, StreamError, httpx.HTTPError, httpx2.HTTPError, OSError, EOFError)
GARBLED = (ValueError, TypeError, LookupError, AttributeError)
VENDOR_ERRORS: tuple[type[Exception], ...] = (*BROKEN, *GARBLED)

_OVERLOADED = 529

# How the vendors say, under the statuses 400, 403 and 429, that an account has no money. OpenAI: insufficient_quota;
# Anthropic: "Your credit balance is too low"; Google: "billing account", "prepayment credits are depleted".
_NO_CREDIT = re.compile(
    r"insufficient_quota|credit balance is too low|billing|credits? (are|is) depleted|exceeded your current quota", re.I
)

# How they say that the prompt is too long, where their packages do not tell it apart.
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context window|prompt is too long|input token count .* exceeds",
    re.I,
)

# What a server may ask us to wait, in seconds: a longer wait is that of our own cool-downs.
MOST_WAIT_S = 3600.0


class VendorFailed(AgentFailed):
    """The model could not answer."""

    def __init__(
        self, code: str, message: str = "", *, retryable: bool = False, trouble: Trouble | None = None
    ) -> None:
        super().__init__(code, message, retryable=retryable)
        self.trouble = trouble or Trouble()


_REQUEST = Trouble("request")


def agent_failure(error: Exception, *, label: str) -> VendorFailed:
    """What `error` means for the turn; `label` is the provider's name for people.

    The sentence holds nothing of the vendor's own text: it may carry addresses, keys or account names. The error's kind
    and HTTP status go to the log.
    """
    chain = list(_chain(error))
    status = next((s for s in map(_status, chain) if s is not None), None)
    log.warning("model_call_failed", provider=label, kind=type(error).__name__, status=status)
    if any(isinstance(each, ContextOverflowError) for each in chain) or (
        status in {400, 413} and _says(chain, _TOO_LONG)
    ):
        message = "This conversation is too long for the model. Begin another with /new."
        return VendorFailed("context_too_long", message, trouble=_REQUEST)
    if status is not None:
        return _no_credit(label) if _has_no_credit(status, chain) else _by_status(status, label, wait_s=_wait_s(chain))
    if any(isinstance(each, TimeoutError | httpx.TimeoutException | httpx2.TimeoutException) for each in chain):
        return VendorFailed("provider_unavailable", f"{label} did not answer in time.", retryable=True)
    if any(isinstance(each, httpx.ConnectError | httpx2.ConnectError) for each in chain):
        message, trouble = f"{label} can't be reached at the moment.", Trouble("provider")
        return VendorFailed("provider_unavailable", message, retryable=True, trouble=trouble)
    if any(isinstance(each, (*GARBLED, json.JSONDecodeError)) for each in chain):
        return VendorFailed("provider_unavailable", f"{label} sent an answer that can't be read.", retryable=True)
    return broke_off(label, connection=True)


def broke_off(label: str, *, connection: bool = False) -> VendorFailed:
    """An answer that ends before its end."""
    what = f"The connection to {label}" if connection else f"The answer from {label}"
    return VendorFailed("provider_unavailable", f"{what} broke off.", retryable=True)


def _no_credit(label: str) -> VendorFailed:
    trouble = Trouble("provider", billing=True)
    return VendorFailed("provider_rejected", f"This service's account at {label} has no credit left.", trouble=trouble)


def _by_status(status: int, label: str, *, wait_s: float | None) -> VendorFailed:
    if status in {401, 403}:
        message = f"{label} refuses this service's credentials. Its operator must check the key."
        return VendorFailed("provider_rejected", message, trouble=Trouble("provider"))
    if status == 404:
        return VendorFailed("provider_rejected", f"{label} does not have this model. Choose another with /model.")
    if status == 429:
        message, trouble = f"{label} is receiving too many requests at the moment.", Trouble(wait_s=wait_s)
        return VendorFailed("rate_limited", message, retryable=True, trouble=trouble)
    if status in {408, _OVERLOADED} or status >= 500:
        message, trouble = f"{label} has a problem at the moment.", Trouble(wait_s=wait_s)
        return VendorFailed("provider_unavailable", message, retryable=True, trouble=trouble)
    return VendorFailed("provider_rejected", f"{label} did not accept the request.", trouble=_REQUEST)


def _has_no_credit(status: int, chain: list[BaseException]) -> bool:
    return status == 402 or (status in {400, 403, 429} and _says(chain, _NO_CREDIT))


def _says(chain: list[BaseException], pattern: re.Pattern[str]) -> bool:
    """Whether the vendor's own words hold the pattern; they are looked at here and go nowhere."""
    return any(pattern.search(f"{each} {getattr(each, 'body', '')}") for each in chain)


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


def _wait_s(chain: list[BaseException]) -> float | None:
    """The seconds that the server asks us to wait, by its Retry-After: a number or a date (RFC 9110, section 10.2.3)."""
    for error in chain:
        for owner in (error, getattr(error, "response", None)):
            headers: Any = getattr(owner, "headers", None)
            value = headers.get("retry-after") if hasattr(headers, "get") else None
            if value:
                return _seconds(str(value))
    return None


def _seconds(value: str) -> float | None:
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(wait, 0.0), MOST_WAIT_S) if wait == wait else None  # noqa: PLR0124 - NaN is no wait
