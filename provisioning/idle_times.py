"""After how long without use a running workspace shall stop by now: its licence may have changed since it was started."""

from datetime import datetime

from accounts.standing import LicenceTerm

# Whose licence has ended can't ask for anything any more.
ENDED_IDLE_S = 15 * 60


def shorter(one_s: int, other_s: int) -> int:
    """The shorter of two idle times; 0, which is never, is the longest."""
    return min((each for each in (one_s, other_s) if each), default=0)


def idle_by(term: LicenceTerm | None, *, now: datetime) -> int:
    """The idle time of a user's workspace by the term of the licence, None = there is none any more."""
    if term is None:
        return ENDED_IDLE_S
    return shorter(term.idle_s, ENDED_IDLE_S) if term.ends is not None and term.ends <= now else term.idle_s
