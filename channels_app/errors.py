"""What can go wrong between a chat platform and us."""


class BadUpdate(Exception):
    """The request is not of the platform's form."""


class DeliveryError(Exception):
    """A message was not shown, as far as we know; the text names the cause, without secrets and without the message.

    `permanent`: it never will be. `ambiguous`: it may have been. Otherwise it is tried again, after `retry_after_s` seconds
    when the platform says so, which then holds for the whole chat, or for the whole channel (`everywhere`).
    """

    def __init__(
        self,
        cause: str,
        *,
        permanent: bool = False,
        ambiguous: bool = False,
        retry_after_s: float | None = None,
        everywhere: bool = False,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.permanent = permanent
        self.ambiguous = ambiguous
        self.retry_after_s = retry_after_s
        self.everywhere = everywhere


class ChatClosed(DeliveryError):
    """The chat takes nothing from us: blocked, left, gone."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, permanent=True)


class NotEditable(DeliveryError):
    """The message to edit is gone, or can't be edited any more: the text may be sent as a new one."""

    def __init__(self, cause: str = "not_editable") -> None:
        super().__init__(cause, permanent=True)


class TooLarge(DeliveryError):
    """What the platform answered with is larger than was asked for."""

    def __init__(self) -> None:
        super().__init__("too_large", permanent=True)
