"""LangChain's model for Anthropic, which also tells the vendor what to keep of a prompt."""

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import LanguageModelInput

from agents.providers._cache_control import with_cache_control


class Claude(ChatAnthropic):
    """Sends `cache_control` where messages are marked; see agents.prompt_marks."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        messages = with_cache_control(self._convert_input(input_).to_messages())
        payload: dict[str, Any] = super()._get_request_payload(messages, stop=stop, **kwargs)
        return payload
