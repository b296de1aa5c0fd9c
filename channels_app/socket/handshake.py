"""Who may open a socket, decided before the upgrade wherever HTTP can still say no."""

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

from django.conf import settings

from accounts.enrolment import identify
from accounts.tickets import TicketInvalid, redeem_ticket
from accounts.tokens import Identity, TokenInvalid
from channels_app.problems import NO_TOKEN
from channels_app.socket.asgi import Event, Scope, Send, header_values
from gateway.ids import new_id

SUBPROTOCOL = "dexorder.v1"
TICKET_PREFIX = "dexorder.ticket."
# A URL is written to logs and histories: nothing that opens a door belongs there.
CREDENTIAL_NAMES = frozenset(
    {"access_token", "api_key", "auth", "authorization", "bearer", "id_token", "jwt", "ticket", "token"}
)
JWT_START = "eyJ"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who speaks, and the subprotocol to answer with (None when the client offered none that we speak)."""

    identity: Identity
    subprotocol: str | None


class Denied(Exception):
    """The upgrade is refused over HTTP with `status`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


async def admit(scope: Scope) -> Admitted:
    """Check a WebSocket's upgrade request.

    A token comes in the Authorization header; a browser, which can't set that, offers `dexorder.v1` and
    `dexorder.ticket.<ticket>` as subprotocols. Raises Denied, or TicketInvalid for a ticket that is not (any more) good.
    """
    if _credential_in_query(scope):
        raise Denied(
            401, "token_in_query", "A token does not belong in the address. Send it in the Authorization header."
        )
    origins = header_values(scope, b"origin")
    if len(origins) > 1 or any(origin not in settings.ALLOWED_ORIGINS for origin in origins):
        raise Denied(403, "origin", "Pages of this origin may not connect.")
    offered: list[str] = scope.get("subprotocols", [])
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
    tickets = [name.removeprefix(TICKET_PREFIX) for name in offered if name.startswith(TICKET_PREFIX)]
    authorization = header_values(scope, b"authorization")
    if not authorization and subprotocol and len(tickets) == 1:
        return Admitted(await redeem_ticket(tickets[0], origin=origins[0] if origins else ""), subprotocol)
    return Admitted(await _bearer(authorization), subprotocol)


async def deny(scope: Scope, send: Send, denied: Denied) -> None:
    """Answer the upgrade request over HTTP; a server without that extension can only say 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    body = {"error": {"code": denied.code, "message": denied.message, "request_id": new_id()}}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if denied.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    start: Event = {"type": "websocket.http.response.start", "status": denied.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": json.dumps(body).encode()})


async def _bearer(authorization: list[str]) -> Identity:
    scheme, _, token = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Denied(401, NO_TOKEN.code, NO_TOKEN.message)
    try:
        return await identify(token.strip())
    except TokenInvalid as error:
        raise Denied(401, "unauthorized", "The token is not valid.") from error


def _credential_in_query(scope: Scope) -> bool:
    query = scope.get("query_string", b"").decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True)
    return any(name.lower() in CREDENTIAL_NAMES or value.startswith(JWT_START) for name, value in pairs)


__all__ = ["SUBPROTOCOL", "Admitted", "Denied", "TicketInvalid", "admit", "deny"]
