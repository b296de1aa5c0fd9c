"""OpenAI's chat completions, and the many servers that speak the same format."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agents.catalogue import Model
from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agents.providers._wire.completions import Completions

VENDOR_URL = "https://api.openai.com/v1"


class OpenAI:
    """OpenAI's own API, or a compatible server."""

    name = "openai"
    label = "OpenAI"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("OPENAI")

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - seconds of imports, only when this provider is on

        from agents.providers._wire.completions import Completions  # noqa: PLC0415

        base_url = endpoint.base_url or VENDOR_URL
        chat = ChatOpenAI(
            model=model.name,
            max_completion_tokens=model.longest_answer,
            api_key=endpoint.key,
            base_url=base_url,
            max_retries=0,
            stream_usage=True,
            # Compatible servers rarely have the newer Responses API.
            use_responses_api=False,
            # Its asyncio.wait_for swallows cancellations on Python 3.11; we have deadlines of our own.
            stream_chunk_timeout=None,
        )
        wire = Completions(base_url, endpoint.key)
        chat.async_client = _Create(wire)
        return ChatModel(chat=chat, close=wire.close)


class _Create:
    """What of the SDK's `chat.completions` LangChain calls when it streams."""

    def __init__(self, wire: "Completions") -> None:
        self._wire = wire

    async def create(self, **payload: Any) -> "aclosing[AsyncGenerator[dict[str, Any], None]]":
        return aclosing(self._wire.stream(payload))


PROVIDER = OpenAI()
