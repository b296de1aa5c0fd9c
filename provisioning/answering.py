"""Whether a workspace answers, and answers to its user: an MCP ping with the user's token, over the network."""

import ssl
from enum import Enum
from functools import cache

import httpx

from provisioning import tokens

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


# No connection was made: what is at fault may be a name, a route or a certificate, and says nothing of the server.
_NOT_CONNECTED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Answer(Enum):
    """What became of a question: REFUSED = the token was not taken; SILENT = connected, and no answer or a useless one."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


async def ask(url: str, *, user_id: str, timeout_s: float) -> Answer:
    """Ask the server at `url` whether it lets this user in."""
    headers = {
        "Authorization": f"Bearer {tokens.workspace_token(user_id)}",
        "Accept": "application/json, text/event-stream",
    }
    try:
        tls = _tls() if url.startswith("https:") else _no_tls()
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=timeout_s) as client:
            status = (await client.post(url, json=PING, headers=headers)).status_code
    except (*_NOT_CONNECTED, httpx.InvalidURL):
        return Answer.UNREACHABLE
    except httpx.HTTPError:
        return Answer.SILENT
    if status in {401, 403}:
        return Answer.REFUSED
    return Answer.ANSWERED if status == 200 else Answer.SILENT


async def answers(url: str, *, user_id: str, timeout_s: float) -> bool:
    """Whether the server at `url` lets this user in; a stranger there answers otherwise, or not at all."""
    return await ask(url, user_id=user_id, timeout_s=timeout_s) is Answer.ANSWERED


@cache
def _tls() -> ssl.SSLContext:
    """For a way from outside of the cluster."""
    return ssl.create_default_context()


@cache
def _no_tls() -> ssl.SSLContext:
    """For plain HTTP, as workspaces speak it: httpx would read the system's certificates for each client."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
