"""Whether a workspace answers, and answers to its user: an MCP ping with the user's token, over the network."""

import ssl
from functools import cache

import httpx

from provisioning import tokens

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def answers(url: str, *, user_id: str, timeout_s: float) -> bool:
    """Whether the server at `url` lets this user in; a stranger there answers otherwise, or not at all."""
    headers = {
        "Authorization": f"Bearer {tokens.workspace_token(user_id)}",
        "Accept": "application/json, text/event-stream",
    }
    try:
        async with httpx.AsyncClient(verify=_no_tls(), trust_env=False, timeout=timeout_s) as client:
            return (await client.post(url, json=PING, headers=headers)).status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


@cache
def _no_tls() -> ssl.SSLContext:
    """For plain HTTP, as workspaces speak it: httpx would read the system's certificates for each client."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
