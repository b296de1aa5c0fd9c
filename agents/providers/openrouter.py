"""OpenRouter: hundreds of models of many vendors behind one key."""

from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings
from agents.providers._http import LIMITS, TIMEOUTS

VENDOR_URL = "https://openrouter.ai/api/v1"


class OpenRouter:
    """OpenRouter's own API, or a server that speaks it."""

    name = "openrouter"
    label = "OpenRouter"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("OPENROUTER")

    def build(self, model: str, endpoint: ApiEndpoint) -> ChatModel:
        import httpx  # noqa: PLC0415 - seconds of imports, only when this provider is on
        import openrouter  # noqa: PLC0415
        from langchain_openrouter import ChatOpenRouter  # noqa: PLC0415
        from openrouter.errors import OpenRouterError  # noqa: PLC0415

        http = httpx.AsyncClient(timeout=httpx.Timeout(**TIMEOUTS), limits=httpx.Limits(**LIMITS))
        sdk = openrouter.OpenRouter(
            api_key=endpoint.key,
            server_url=endpoint.base_url or VENDOR_URL,
            async_client=http,
            # Left unset, the SDK retries 5xx for up to an hour.
            retry_config=None,
        )
        chat = ChatOpenRouter(model_name=model, api_key=endpoint.key, client=sdk, max_retries=0, stream_usage=True)
        return ChatModel(chat=chat, close=http.aclose, errors=(OpenRouterError,))


PROVIDER = OpenRouter()
