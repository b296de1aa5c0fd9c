"""Claude, by Anthropic's Messages API."""

from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings
from agents.providers._http import LIMITS, TIMEOUTS

VENDOR_URL = "https://api.anthropic.com"


class Anthropic:
    """Anthropic's own API, or a server that speaks it."""

    name = "anthropic"
    label = "Anthropic"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("ANTHROPIC")

    def build(self, model: str, endpoint: ApiEndpoint) -> ChatModel:
        import anthropic  # noqa: PLC0415 - 6 s of imports, only when this provider is on
        import httpx2  # noqa: PLC0415

        from agents.providers._claude import Claude  # noqa: PLC0415

        base_url = endpoint.base_url or VENDOR_URL
        http = httpx2.AsyncClient(timeout=httpx2.Timeout(**TIMEOUTS), limits=httpx2.Limits(**LIMITS))
        chat = Claude(model=model, api_key=endpoint.key, base_url=base_url, max_retries=0, stream_usage=True)
        # ChatAnthropic takes no HTTP client; its async SDK client is a cached property, read first when used.
        chat.__dict__["_async_client"] = anthropic.AsyncAnthropic(
            api_key=endpoint.key, base_url=base_url, max_retries=0, http_client=http
        )
        return ChatModel(chat=chat, close=http.aclose, errors=(anthropic.AnthropicError,))


PROVIDER = Anthropic()
