"""Chat completions in OpenAI's format, without a vendor's package between the answer and LangChain.

The packages build a typed object of each event (OpenAI's in 0.3 ms, OpenRouter's in more), which LangChain's half turns
into a dict again; and a typed copy of the whole request. LangChain's half is kept as it is: it is given the dicts.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx2
import orjson

from agents.providers._wire.errors import StatusError, StreamError
from agents.providers._wire.joins import join_openai
from agents.providers._wire.session import Session, error_body, joined_events

JSON = dict[str, Any]
DONE = b"data: [DONE]"


class Completions:
    """`POST {base_url}/chat/completions`, streamed."""

    def __init__(self, base_url: str, key: str) -> None:
        self._url, self._session = f"{base_url}/chat/completions", Session()
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def stream(self, payload: JSON) -> AsyncGenerator[JSON, None]:
        """The events of the answer to `payload`, neighbours joined.

        Raises httpx2.HTTPError, StatusError, StreamError for an error that the stream tells, and ValueError for what is
        no stream of JSON objects.
        """
        request = httpx2.Request("POST", self._url, headers=self._headers)
        answer = await self._session.send(request, orjson.dumps(payload))
        try:
            if answer.status >= 300:
                raise StatusError(answer.status, answer.headers, await error_body(answer, request))
            if answer.content_type != "text/event-stream":
                raise ValueError("no event stream")
            async with aclosing(joined_events(answer, request, join_openai)) as events:
                async for event in events:
                    if event.raw.startswith(DONE):
                        return
                    if (value := _value(event.raw, event.value)) is not None:
                        yield value
        finally:
            # Not `release`: an answer that is given up in the middle would be read to its end, and paid for.
            answer.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _value(raw: bytes, value: JSON | None) -> JSON | None:
    """The event's object, None for a comment or for an event without data."""
    if value is None:
        if any(line.startswith(b"data:") for line in raw.splitlines()):
            raise ValueError("no JSON object")
        return None
    if value.get("error"):
        raise StreamError(value["error"])
    return value
