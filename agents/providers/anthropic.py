"""Claude, by Anthropic's Messages API."""

from agents.catalogue import Model
from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings

VENDOR_URL = "https://api.anthropic.com"


class Anthropic:
    """Anthropic's own API, or a server that speaks it."""

    name = "anthropic"
    label = "Anthropic"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("ANTHROPIC")

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        import anthropic  # noqa: PLC0415 - 6 s of imports, only when this provider is on

        from agents.providers._claude import Claude  # noqa: PLC0415
        from agents.providers._wire.joins import join_anthropic  # noqa: PLC0415
        from agents.providers._wire.transport import http_client  # noqa: PLC0415

        base_url = endpoint.base_url or VENDOR_URL
        http = http_client(join_anthropic)
        chat = Claude(
            model=model.name,
            max_tokens=model.longest_answer,
            api_key=endpoint.key,
            base_url=base_url,
            max_retries=0,
            stream_usage=True,
        )
        # ChatAnthropic takes no HTTP client; its async SDK client is a cached property, read first when used.
        chat.__dict__["_async_client"] = anthropic.AsyncAnthropic(
            api_key=endpoint.key, base_url=base_url, max_retries=0, http_client=http
        )
        return ChatModel(chat=chat, close=http.aclose, errors=(anthropic.AnthropicError,))


PROVIDER = Anthropic()
