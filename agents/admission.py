"""Whether a message may become a turn, by its user's licence; refusals in the words and codes of a message."""

from typing import LiteralString

from psycopg.rows import dict_row

from accounts import quotas
from accounts.budgets import require_budget
from accounts.errors import LimitReached, NotIncluded, Window
from accounts.features import require_channel, require_turns
from accounts.licences import LOCK, Licence, NotLicensed, licence_of, lock_licence_on
from agents.conversations import MAIN_NAMES, lock_conversation
from agents.errors import Refused
from gateway.db import Connection
from gateway.ids import is_id

# The conversation is found by the licence's row, so that both are locked in the order in which everybody locks them.
_LOCK_BOTH: LiteralString = f"""
    WITH licence AS MATERIALIZED ({LOCK}) SELECT licence.*, c.id AS conversation FROM licence LEFT JOIN LATERAL (
        SELECT id::text FROM conversations WHERE user_id = licence.user_id AND """
_LOCK_WITH_MAIN: LiteralString = _LOCK_BOTH + "alias = 'main' FOR NO KEY UPDATE) c ON true"
_LOCK_WITH_NAMED: LiteralString = _LOCK_BOTH + "id = %s FOR NO KEY UPDATE) c ON true"


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


async def admit_into(conn: Connection, user_id: str, *, channel: str, conversation: str | None) -> tuple[Licence, str]:
    """The same, and the id of the conversation, locked too; in one statement. Raises also what lock_conversation does."""
    by_id = is_id(conversation or "")
    values = (user_id, conversation) if by_id else (user_id,)
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOCK_WITH_NAMED if by_id else _LOCK_WITH_MAIN, values)
        row = await cursor.fetchone()
    try:
        licence = licence_of(row)
        require_channel(licence, channel)
    except (NotLicensed, NotIncluded) as error:
        raise Refused(error.code, str(error)) from error
    if row and row["conversation"] and (by_id or conversation in MAIN_NAMES):
        return licence, str(row["conversation"])
    # There is no main one yet, it has just changed, or none has this name.
    return licence, await lock_conversation(conn, user_id=user_id, conversation=conversation)


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
