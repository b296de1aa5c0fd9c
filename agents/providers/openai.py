"""OpenAI's chat completions, and the many servers that speak the same format."""

from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings

VENDOR_URL = "https://api.openai.com/v1"


class OpenAI:
    """OpenAI's own API, or a compatible server."""

    name = "openai"
    label = "OpenAI"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("OPENAI")

    def build(self, model: str, endpoint: ApiEndpoint) -> ChatModel:
        import openai  # noqa: PLC0415 - seconds of imports, only when this provider is on
        from langchain_openai import ChatOpenAI  # noqa: PLC0415

        from agents.providers._wire.joins import join_openai  # noqa: PLC0415
        from agents.providers._wire.transport import http_client  # noqa: PLC0415

        http = http_client(join_openai)
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
