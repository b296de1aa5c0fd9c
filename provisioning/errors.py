"""Why there is no workspace, as a code for programs and a sentence for the user."""

from enum import StrEnum


class Cause(StrEnum):
    """What went wrong."""

    EXITED = "exited"
    NEVER_READY = "never_ready"
    NOT_INSTALLED = "not_installed"
    NOT_ALLOWED = "not_allowed"
    INVALID_USER = "invalid_user"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting_down"
    DATABASE = "database"
    INTERNAL = "internal"


MESSAGES: dict[Cause, str] = {
    Cause.EXITED: "Your workspace stopped while it was starting. Please try again; if it happens again, tell support.",
    Cause.NEVER_READY: "Your workspace did not become ready in time. Please try again in a minute.",
    Cause.NOT_INSTALLED: "Workspaces can't start here: a part of the installation is missing. Please tell the operator.",
    Cause.NOT_ALLOWED: "Your account points at a tool server that is not allowed here. Please tell support.",
    Cause.INVALID_USER: "This account's name can't be used for a workspace.",
    Cause.STOPPED: "Your workspace was stopped before it was ready.",
    Cause.SHUTTING_DOWN: "The service is restarting. Please try again in a moment.",
    Cause.DATABASE: "Your workspace could not be started: the service can't reach its database. Please try again soon.",
    Cause.INTERNAL: "Your workspace could not be started because of an error on our side. Please try again.",
}


class WorkspaceFailed(Exception):
    """The workspace can't be used; `message` is written for the user.

    `detail` (a few words) and `output` (what the workspace last printed) are for the operator only.
    """

    def __init__(self, cause: Cause, *, detail: str = "", output: str = "") -> None:
        self.cause = cause
        self.message = MESSAGES[cause]
        self.detail = detail
        self.output = output
        super().__init__(self.message)
