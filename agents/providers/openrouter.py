"""OpenRouter: hundreds of models of many vendors behind one key."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from agents.catalogue import Model
from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings

if TYPE_CHECKING:
    from agents.providers._wire.completions import Completions

VENDOR_URL = "https://openrouter.ai/api/v1"


class OpenRouter:
    """OpenRouter's own API, or a server that speaks it."""

    name = "openrouter"
    label = "OpenRouter"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("OPENROUTER")

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        from langchain_openrouter import ChatOpenRouter  # noqa: PLC0415 - seconds of imports, only when this provider is on

        from agents.providers._wire.completions import Completions  # noqa: PLC0415

        wire = Completions(endpoint.base_url or VENDOR_URL, endpoint.key)
        chat = ChatOpenRouter(
            model_name=model.name,
            max_tokens=model.longest_answer,
            api_key=endpoint.key,
            client=SimpleNamespace(chat=_Chat(wire)),
            max_retries=0,
            stream_usage=True,
        )
        return ChatModel(chat=chat, close=wire.close)


class _Chat:
    """What of the SDK's `chat` LangChain calls when it streams."""

    def __init__(self, wire: "Completions") -> None:
        self._wire = wire

    async def send_async(self, **payload: Any) -> AsyncIterator["_Chunk"]:
        return self._chunks(payload)

    async def _chunks(self, payload: dict[str, Any]) -> AsyncIterator["_Chunk"]:
        begun: set[Any] = set()
        async with aclosing(self._wire.stream(payload)) as events:
            async for value in events:
                _name_once(value, begun)
                _with_images(value)
                yield _Chunk(value)


def _name_once(value: dict[str, Any], begun: set[Any]) -> None:
    """Leave out the format of a thought that has begun: LangChain strings the pieces' texts together, this one too."""
    for choice in value.get("choices") or ():
        for thought in (choice.get("delta") or {}).get("reasoning_details") or ():
            if thought.get("index") in begun:
                thought.pop("format", None)
            begun.add(thought.get("index"))


def _with_images(value: dict[str, Any]) -> None:
    """Have LangChain, which knows nothing of OpenRouter's `images`, take them as a part of the content."""
    for choice in value.get("choices") or ():
        delta = choice.get("delta") or {}
        if images := delta.pop("images", None):
            words = delta.get("content")
            delta["content"] = [*([{"type": "text", "text": words}] if words else []), *images]


class _Chunk:
    """One event, which LangChain asks for its dict."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        return self._value


PROVIDER = OpenRouter()
