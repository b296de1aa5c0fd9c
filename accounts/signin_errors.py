"""Why somebody could not sign in, in words for them; `status` is the page's."""


class SignInFailed(Exception):
    """The sign-in did not work. Begin again."""

    status = 400

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class SignInStale(SignInFailed):
    """This sign-in was begun too long ago or in another browser, or it was used already. Begin again."""


class SignInRefused(SignInFailed):
    """The sign-in service has not let you in. If you think it should, ask your administrator."""

    status = 403


class ProviderBroken(SignInFailed):
    """The sign-in service gave an answer that can't be trusted. Begin again; if it stays so, tell your administrator."""

    status = 502


class ProviderAway(SignInFailed):
    """The sign-in service does not answer. Try again in a moment."""

    status = 503
