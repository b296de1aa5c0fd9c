"""Free TCP ports of the loopback address."""

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Return `preferred` when nothing listens on it, otherwise a port that the system picks.

    The port is only known to be free now: whoever binds it must be ready to ask again.
    """
    if preferred and _can_bind(preferred):
        return preferred
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _can_bind(port: int) -> bool:
    with socket.socket() as listener:
        # Without it, connections of the previous server in TIME_WAIT would block the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
