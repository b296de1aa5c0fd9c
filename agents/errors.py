"""What can go wrong with a message or a turn; the docstring is the message for the user unless one is given."""

from accounts.errors import Window
from agents.events import Usage


class Refused(Exception):
    """The message was not accepted."""

    # The windows of messages, where one of them is why.
    windows: tuple[Window, ...] = ()

    def __init__(self, code: str, message: str = "", *, retry_after_s: int | None = None) -> None:
        super().__init__(message or self.__doc__)
        self.code = code
        self.message = str(self)
        self.retry_after_s = retry_after_s


class AgentFailed(Exception):
    """The agent could not answer."""

    # What a model call that failed took; None = only what was seen of it tells.
    took: Usage | None = None

    def __init__(self, code: str, message: str = "", *, retryable: bool = False) -> None:
        super().__init__(message or self.__doc__)
        self.code = code
        self.message = str(self)
        self.retryable = retryable


class HistoryRefused(AgentFailed):
    """Your workspace keeps nothing of what is said now."""


class ToolRefused(Exception):
    """A tool of the workspace refused what it was asked; the text is for people."""


class UntameSchema(Exception):
    """The schema is too deep, or has a reference that leaves it, names nothing or comes back to itself."""


class FenceLost(Exception):
    """Another worker has taken the turn over; nothing more may be written for it here."""


class JournalLost(Exception):
    """The journal of a running turn is gone (expired, or its server lost it)."""
