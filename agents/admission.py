"""Whether a message may become a turn, by its user's licence; refusals in the words and codes of a message."""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row

from accounts import quotas
from accounts.budgets import require_budget
from accounts.errors import LimitReached, NotIncluded, Window
from accounts.features import require_channel, require_turns
from accounts.licences import LOCK, Licence, NotLicensed, licence_of, lock_licence_on
from agents.conversations import MAIN_NAMES, ensure_main, missing
from agents.errors import Refused
from agents.queue import claims_of
from gateway.db import Connection, connection
from gateway.ids import is_id

# The conversation is found by the licence's row, and the slots are asked for with both, so that all are locked in the order in
# which everybody locks them.
_LOCK_BOTH: LiteralString = f"""
    WITH licence AS MATERIALIZED ({LOCK}) SELECT licence.*, c.id AS conversation,
        CASE WHEN %s AND c.id IS NOT NULL THEN pg_try_advisory_xact_lock({claims_of("licence.user_id")}) END AS slots
    FROM licence LEFT JOIN LATERAL (SELECT id::text FROM conversations WHERE user_id = licence.user_id AND """
_LOCK_WITH_MAIN: LiteralString = _LOCK_BOTH + "alias = 'main' FOR NO KEY UPDATE) c ON true"
_LOCK_WITH_NAMED: LiteralString = _LOCK_BOTH + "id = %s::uuid FOR NO KEY UPDATE) c ON true"


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


@dataclass(frozen=True, slots=True)
class Admitted:
    """A licence and a conversation that nobody else locks; with `slots` nor does anybody give away the user's."""

    licence: Licence
    conversation: str
    slots: bool


async def admit_into(
    conn: Connection, user_id: str, *, channel: str, conversation: str | None, slots: bool = False
) -> Admitted:
    """The same as `admit` with the conversation, and with the `slots` unless a claim has them; in one statement.

    Raises also what lock_conversation does.
    """
    main = conversation in MAIN_NAMES
    for make in (False, True) if main else (False,):
        if make:
            await ensure_main(conn, user_id)
        row = await _lock_both(conn, user_id, slots, conversation=None if main else conversation)
        try:
            licence = licence_of(row)
            require_channel(licence, channel)
        except (NotLicensed, NotIncluded) as error:
            raise Refused(error.code, str(error)) from error
        if row and row["conversation"]:
            return Admitted(licence, str(row["conversation"]), bool(row["slots"]))
    raise missing()


async def _lock_both(conn: Connection, user_id: str, slots: bool, *, conversation: str | None) -> dict[str, Any] | None:
    by_id = conversation is not None
    # What is no id is nobody's.
    values = (user_id, slots, conversation if is_id(conversation or "") else None) if by_id else (user_id, slots)
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOCK_WITH_NAMED if by_id else _LOCK_WITH_MAIN, values)
        return await cursor.fetchone()


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


async def check_quota(user_id: str, *, channel: str) -> None:
    """Raise Refused where a message of the user's would be refused now, as `admit` and `take_quota` do; nothing is counted."""
    async with connection() as conn, conn.transaction(force_rollback=True):
        await take_quota(conn, await admit(conn, user_id, channel=channel))
