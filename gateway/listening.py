"""Listen at an address, or say in a sentence why that can't be."""

import errno
import socket

# Connections that wait to be accepted, as uvicorn has it; the kernel's net.core.somaxconn may be lower.
BACKLOG = 2048


class CantListen(Exception):
    """The address can't be listened at. Set another PORT or --host."""


class PortTaken(CantListen):
    """Another program listens there already. Stop it, or set another PORT."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises CantListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise refusal(error, host, port=port) from error


def refusal(error: OSError | OverflowError, host: str, *, port: int) -> CantListen:
    """Why the address can't be listened at."""
    if isinstance(error, OverflowError):
        return CantListen(f"{host}, port {port}: No such port. {CantListen.__doc__}")
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"Port {port}: {PortTaken.__doc__}")
    return CantListen(f"{host}, port {port}: {error.strerror}. {CantListen.__doc__}")
