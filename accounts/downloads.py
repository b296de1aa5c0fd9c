"""JSON documents that an identity provider publishes: bounded in size and time, off the event loop where it costs."""

import asyncio
import json
import ssl
from functools import cache
from typing import Any

import httpx

FETCH_TIMEOUT_S = 3.0
MAX_BODY_BYTES = 256 * 1024
# What can go wrong with a download: the caller keeps what it had.
DOWNLOAD_ERRORS = (httpx.HTTPError, TimeoutError, ValueError, RecursionError)


async def download_json(url: str) -> Any:
    """The JSON at `url`; redirects are not followed. Raises one of DOWNLOAD_ERRORS."""
    tls = await tls_context()
    # Unpacked, a small answer could fill the memory: none may be packed, and what is all the same is no JSON.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with (
        asyncio.timeout(FETCH_TIMEOUT_S),
        httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, trust_env=False, verify=tls) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        response.raise_for_status()
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ValueError("the document is too large")
        return await asyncio.to_thread(json.loads, body)


async def tls_context() -> ssl.SSLContext:
    """The system's certificates; reading them takes 80 ms the first time, during which no token would be streamed."""
    return await asyncio.to_thread(_tls_context)


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
