"""Gemini, by Google's Generative Language API."""

import logging

from agents.catalogue import Model
from agents.providers import ApiEndpoint, ChatModel, endpoint_from_settings


class Google:
    """Google's own API, or a server that speaks it."""

    name = "google"
    label = "Google"
    stand_in = False

    def endpoint(self) -> ApiEndpoint | None:
        return endpoint_from_settings("GOOGLE")

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        from google.genai import Client  # noqa: PLC0415 - seconds of imports, only when this provider is on
        from google.genai.errors import APIError  # noqa: PLC0415
        from google.genai.types import HttpOptions  # noqa: PLC0415
        from langchain_google_genai import ChatGoogleGenerativeAI  # noqa: PLC0415
        from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError  # noqa: PLC0415

        from agents.providers._wire.joins import join_google  # noqa: PLC0415
        from agents.providers._wire.transport import http_client  # noqa: PLC0415

        # It warns of each keyword that Gemini's schemas lack, for every tool, and leaves it out rightly.
        logging.getLogger("langchain_google_genai._function_utils").setLevel(logging.ERROR)

        http = http_client(join_google)
        chat = ChatGoogleGenerativeAI(
            model=model.name,
            max_output_tokens=model.longest_answer,
            api_key=endpoint.key,
            max_retries=1,  # 1 = one request, no retry
        )
        # It takes no HTTP client of ours and would use aiohttp when that happens to be installed.
        chat.client = Client(
            api_key=endpoint.key,
            vertexai=False,
            http_options=HttpOptions(base_url=endpoint.base_url or None, httpx_async_client=http),
        )
        return ChatModel(chat=chat, close=http.aclose, errors=(APIError, ChatGoogleGenerativeAIError))


PROVIDER = Google()
