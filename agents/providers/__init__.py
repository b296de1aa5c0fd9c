"""Model providers: one file each, exposing `PROVIDER`. The folder is the list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from django.conf import settings

from agents.catalogue import Model
from agents.tracing import forbid_tracing
from gateway.plugins import load_folder

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

forbid_tracing()

# SDKs refuse to be built without a key; a server of one's own that needs none ignores this one.
NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class ApiEndpoint:
    """Where a provider is reached. A blank `base_url` is the vendor's own."""

    base_url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A built model, how to close its HTTP connections, and the exceptions of its vendor's package."""

    chat: "BaseChatModel"
    close: Callable[[], Awaitable[None]]
    errors: tuple[type[Exception], ...] = ()


@runtime_checkable
class Provider(Protocol):
    """A vendor, or a way of serving models. `label` is its name for people.

    A `stand_in` answers only while no other provider is on, or when it is the configured default.
    """

    name: str
    label: str
    stand_in: bool

    def endpoint(self) -> ApiEndpoint | None:
        """Where to reach it by the present settings; None = it is off."""

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        """Import the vendor's package and make the model: takes seconds, so it is called off the event loop."""


def endpoint_from_settings(prefix: str) -> ApiEndpoint | None:
    """The endpoint by `{prefix}_API_KEY` and `{prefix}_BASE_URL`: one of them switches the provider on."""
    key: str = getattr(settings, f"{prefix}_API_KEY") or ""
    base_url: str = getattr(settings, f"{prefix}_BASE_URL") or ""
    if not key and not base_url:
        return None
    return ApiEndpoint(base_url=base_url.rstrip("/"), key=key or NO_KEY)


@cache
def providers() -> dict[str, Provider]:
    """Every provider of this folder by its name. Raises what a broken one raises."""
    return load_folder("agents.providers", constant="PROVIDER", kind=Provider)  # type: ignore[type-abstract]


def switched_on() -> dict[str, Provider]:
    """The providers that may answer by the present settings, by name."""
    reachable = {name: provider for name, provider in providers().items() if provider.endpoint() is not None}
    real = [name for name, provider in reachable.items() if not provider.stand_in]
    default = settings.DEFAULT_MODEL_PROVIDER
    return {name: p for name, p in reachable.items() if not p.stand_in or not real or name == default}
