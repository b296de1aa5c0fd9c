"""What the API server answers when it does not do what was asked. Caught inside this package; causes.py gives them words."""


class ApiFailed(Exception):
    """The API server refused, or was not to be reached; `about` = verb, kind and name of what was asked."""

    def __init__(self, message: str, *, about: str, status: int = 0, reason: str = "") -> None:
        super().__init__(f"{about}: {message}")
        self.message = message
        self.about = about
        self.status = status
        self.reason = reason


class Away(ApiFailed):
    """The API server can't be reached, is overloaded, or fails itself; `retry_after_s` is what it asks for, 0 = nothing."""

    def __init__(self, message: str, *, about: str, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message, about=about, status=status)
        self.retry_after_s = retry_after_s


class Conflict(ApiFailed):
    """The object is not as the call demands: another owner's field, another version, another uid."""


class Missing(ApiFailed):
    """There is no such object."""


class Gone(ApiFailed):
    """The version to go on from is no longer known: list anew."""


class Refused(ApiFailed):
    """Not allowed, over a quota, or not valid: the same call will be refused again."""
