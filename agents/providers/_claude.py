"""LangChain's model for Anthropic, which also tells the vendor what to keep of a prompt."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_anthropic.chat_models import _create_usage_metadata
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from agents.providers._cache_control import with_cache_control

_BEGUN = "dexorder_begun"


class Claude(ChatAnthropic):
    """Sends `cache_control` where messages are marked; see agents.prompt_marks.

    Counts the prompt's tokens also where only a stream's beginning tells them: LangChain looks at its end alone, where the
    figures are optional (source: the SDK's MessageDeltaUsage), and some compatible servers leave them out.
    """

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        messages = with_cache_control(self._convert_input(input_).to_messages())
        payload: dict[str, Any] = super()._get_request_payload(messages, stop=stop, **kwargs)
        return payload

    def _make_message_chunk_from_anthropic_event(self, event: Any, **options: Any) -> tuple[AIMessageChunk | None, Any]:
        chunk, block = super()._make_message_chunk_from_anthropic_event(event, **options)
        if chunk is not None and event.type == "message_start":
            chunk.response_metadata[_BEGUN] = event.message.usage
        return chunk, block

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        begun: Any = None
        async for generation in super()._astream(*args, **kwargs):
            message = generation.message
            begun = message.response_metadata.pop(_BEGUN, begun)
            if isinstance(message, AIMessageChunk) and begun is not None:
                _complete(message, begun)
            yield generation


def _complete(message: AIMessageChunk, begun: Any) -> None:
    """Add the prompt's tokens, as the stream's beginning told them, to an end that does not tell them."""
    told = message.usage_metadata
    if told is None or told["input_tokens"]:
        return
    full = _create_usage_metadata(begun)
    full["output_tokens"] = told["output_tokens"]
    full["total_tokens"] = full["input_tokens"] + told["output_tokens"]
    message.usage_metadata = full
