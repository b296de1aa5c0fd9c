"""How a socket is closed: the codes of the protocol, each with the reason that the client is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Close:
    """A close code and its reason (at most 123 bytes, RFC 6455)."""

    code: int
    reason: str


BINARY = Close(1003, "Only text frames are understood.")
TOO_MANY_BAD_FRAMES = Close(1008, "Too many frames could not be understood.")
TOO_LARGE = Close(1009, "A frame is at most 64 KiB.")
TRY_LATER = Close(1013, "The service is not available. Try again in a moment.")
SESSION_EXPIRED = Close(4401, "The session has expired.")
SIGNED_OUT = Close(4401, "You have signed out.")
BAD_TICKET = Close(4401, "The ticket is not valid.")
FLOODING = Close(4429, "Too many frames in too short a time.")


def not_licensed(message: str) -> Close:
    """No licence, or an expired one."""
    return Close(4403, message[:120])
