"""Whether a message may become a turn, by its user's licence; refusals in the words and codes of a message."""

from accounts import quotas
from accounts.budgets import require_budget
from accounts.errors import LimitReached, NotIncluded, Window
from accounts.features import require_channel, require_turns
from accounts.licences import Licence, NotLicensed, lock_licence_on
from agents.errors import Refused
from gateway.db import Connection


async def admit(conn: Connection, user_id: str, *, channel: str) -> Licence:
    """The user's licence, locked until the transaction ends, so that the user's messages are counted one after another.

    Raises Refused `no_licence`, `licence_expired`, `not_included` (the channel).
    """
    try:
        licence = await lock_licence_on(conn, user_id)
        require_channel(licence, channel)
    except (NotLicensed, NotIncluded) as error:
        raise Refused(error.code, str(error)) from error
    return licence


async def take_quota(conn: Connection, licence: Licence) -> tuple[Window, ...]:
    """Count a message that is about to be a turn; how far the windows are filled with it.

    Raises Refused `not_included`, `budget_exhausted` or `rate_limited`, which must end the transaction: nothing is counted then.
    """
    try:
        require_turns(licence)
        await require_budget(conn, licence)
        return await quotas.take_message(conn, licence)
    except NotIncluded as error:
        raise Refused(error.code, str(error)) from error
    except LimitReached as error:
        refused = Refused(error.code, str(error), retry_after_s=error.retry_after_s)
        refused.windows = error.windows
        raise refused from error
