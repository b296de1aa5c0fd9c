"""What can go wrong with the servers that the gateway carries with it."""


class EmbeddedServerError(Exception):
    """The embedded server could not be started."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class PortTakenError(EmbeddedServerError):
    """Another program took the port between the check and the start."""
