"""OpenAI's chat completions, and the many servers that speak the same format."""

from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings
from agents.providers._http import LIMITS, TIMEOUTS

VENDOR_URL = "https://api.openai.com/v1"


class OpenAI:
    """OpenAI's own API, or a compatible server."""

    name = "openai"
    label = "OpenAI"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("OPENAI")

    def build(self, model: str, endpoint: ApiEndpoint) -> ChatModel:
        import httpx2  # noqa: PLC0415 - seconds of imports, only when this provider is on
        import openai  # noqa: PLC0415
        from langchain_openai import ChatOpenAI  # noqa: PLC0415

        http = httpx2.AsyncClient(timeout=httpx2.Timeout(**TIMEOUTS), limits=httpx2.Limits(**LIMITS))
        chat = ChatOpenAI(
            model=model,
            api_key=endpoint.key,
            base_url=endpoint.base_url or VENDOR_URL,
            http_async_client=http,
            max_retries=0,
            stream_usage=True,
            # Compatible servers rarely have the newer Responses API.
            use_responses_api=False,
        )
        return ChatModel(chat=chat, close=http.aclose, errors=(openai.OpenAIError,))


PROVIDER = OpenAI()
