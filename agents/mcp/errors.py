"""Why a call to a workspace came to nothing; the text is written for the model or person that reads it."""

from enum import StrEnum

import structlog

from agents.errors import AgentFailed

log = structlog.get_logger(__name__)


class Reason(StrEnum):
    """What went wrong with a call."""

    UNREACHABLE = "unreachable"
    DENIED = "denied"
    BROKEN = "broken"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


class CallFailed(Exception):
    """A call to the workspace failed.

    With UNREACHABLE and DENIED the workspace never began it. With BROKEN and TIMEOUT it may have done its work.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def workspace_failure(error: CallFailed) -> AgentFailed:
    """What a failed call means for a turn that can't go on without it.

    Why a call is refused is for whoever wrote it: a model, or us.
    """
    if error.reason is Reason.REFUSED:
        log.warning("workspace_refused", cause=error.message)
    why = "It refused what it was asked." if error.reason is Reason.REFUSED else error.message
    return AgentFailed("workspace_unreachable", f"Your workspace did not do its part. {why}", retryable=True)
