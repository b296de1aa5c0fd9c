"""How often codes may be tried: counted by the database, so that no number of processes or sockets adds tries."""

from datetime import timedelta
from enum import Enum

from gateway.db import Connection

WINDOW = timedelta(minutes=10)
# A person mistypes a code once or twice.
TRIES_EACH = 5
# Of short codes, by everybody together. With 1,000 of them open, somebody who uses all tries all the time hits one in about
# 25 years (30^8 codes). Deep links don't count: 128 bits can't be guessed, so that guesses never keep people from using them.
TRIES_IN_ALL = 500
EVERYBODY = "all"
# Of a user who looks for the button; each code leaves a row in the audit.
CODES_EACH = 20


class Verdict(Enum):
    """Whether a try may be made; JUST_OVER is the first of the window that may not."""

    ALLOWED = "allowed"
    JUST_OVER = "just_over"
    OVER = "over"


async def count_try_on(conn: Connection, scope: str, *, limit: int) -> Verdict:
    """Count a try of `scope` in the caller's transaction, which holds back others of the scope until it ends.

    Refused ones are not counted further, so a window ends WINDOW after its first try whatever was sent meanwhile.
    """
    cursor = await conn.execute(
        "INSERT INTO link_tries AS t (scope, since, tries) VALUES (%(scope)s, clock_timestamp(), 1)"
        " ON CONFLICT (scope) DO UPDATE SET"
        " tries = CASE WHEN t.since < clock_timestamp() - %(window)s THEN 1 ELSE t.tries + 1 END,"
        " since = CASE WHEN t.since < clock_timestamp() - %(window)s THEN clock_timestamp() ELSE t.since END"
        " WHERE t.tries <= %(limit)s OR t.since < clock_timestamp() - %(window)s RETURNING tries",
        {"scope": scope, "window": WINDOW, "limit": limit},
    )
    row = await cursor.fetchone()
    if row is None:
        return Verdict.OVER
    return Verdict.ALLOWED if row[0] <= limit else Verdict.JUST_OVER


async def seconds_left_on(conn: Connection, scope: str) -> float:
    """Until the window of a scope that was counted is over."""
    cursor = await conn.execute(
        "SELECT extract(epoch FROM since + %s - clock_timestamp())::float FROM link_tries WHERE scope = %s",
        (WINDOW, scope),
    )
    row = await cursor.fetchone()
    return 0.0 if row is None else float(row[0])


async def forget_old_tries_on(conn: Connection) -> None:
    """Remove some counters whose window is over; those that another process is using are left to it."""
    await conn.execute(
        "DELETE FROM link_tries WHERE scope IN (SELECT scope FROM link_tries"
        " WHERE since < clock_timestamp() - %s LIMIT 100 FOR UPDATE SKIP LOCKED)",
        (WINDOW,),
    )
