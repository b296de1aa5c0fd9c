"""What a message does to the answer that is being written when it comes: it waits, stops it, joins it, or is refused."""

from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from accounts.licences import Licence
from agents.cancelling import cancel_on
from agents.errors import Refused
from agents.queue import AfterCommit
from gateway.db import Connection, notify

# Turns of one conversation that may wait; beyond it a message is refused.
QUEUE_CAP = 20
BUSY_POLICIES = ("queue", "interrupt", "steer", "reject")
DEFAULT = "queue"
WORDS = {
    "queue": "it waits its turn",
    "interrupt": "it stops the answer and takes its place",
    "steer": "it joins the answer before its next step",
    "reject": "it is refused",
}
ONE_AT_ONCE = "Your licence has one message answered at once. This one begins when another has ended."


def queue_full() -> Refused:
    """As many messages wait as may."""
    words = _("{count} messages wait already. Let some be answered first.").format(count=QUEUE_CAP)
    return Refused("queue_full", words, retry_after_s=10)


@dataclass(frozen=True, slots=True)
class Way:
    """How a message goes in: how many turns come before it, and what becomes of them.

    `joins` is the running turn that it wants to join, `stops` are the turns that it stops. `running` counts those of its user
    that are answered now, in whatever conversation, and `waiting` says whether any waits there.
    """

    position: int
    running: int = 0
    waiting: bool = False
    joins: str | None = None
    stops: tuple[str, ...] = ()
    refused: bool = False


async def find_way(conn: Connection, *, user_id: str, conversation: str, when_busy: str | None) -> Way:
    """The way of a message into a conversation that the caller has locked; turns that wait for their user don't count.

    `when_busy` None is the user's own policy.
    """
    cursor = await conn.execute(
        "SELECT id::text, state, conversation_id = %s, (SELECT when_busy FROM chat_settings WHERE user_id = %s)"
        " FROM turns WHERE user_id = %s AND state IN ('queued', 'running') AND joined_to IS NULL ORDER BY accepted_at, id",
        (conversation, user_id, user_id),
    )
    found: list[tuple[str, str, bool, str | None]] = await cursor.fetchall()
    at_once = sum(state == "running" for _, state, _, _ in found)
    anywhere = Way(0, at_once, waiting=at_once < len(found))
    ahead = [(turn, state) for turn, state, here, _ in found if here]
    if not ahead:
        return anywhere
    policy = when_busy or found[0][3] or DEFAULT
    running = next((turn for turn, state in ahead if state == "running"), None)
    if policy == "interrupt":
        return replace(anywhere, position=int(running is not None), stops=tuple(turn for turn, _ in ahead))
    joins = running if policy == "steer" else None
    return replace(anywhere, position=len(ahead), joins=joins, refused=policy == "reject")


async def clear_way(conn: Connection, way: Way, *, user_id: str) -> list[AfterCommit]:
    """Do to others what the way says, in the transaction that stores the message. Raises Refused `busy`."""
    if way.refused:
        raise Refused("busy", "An answer is being written. Wait for it, or stop it.")
    if way.joins:
        await notify(conn, "steers", way.joins)
    stopped = [await cancel_on(conn, turn, user_id) for turn in way.stops]
    return [after for after in stopped if after is not None]


async def own_policy(conn: Connection, user_id: str) -> str:
    """What the user wants where a message says nothing."""
    cursor = await conn.execute("SELECT when_busy FROM chat_settings WHERE user_id = %s", (user_id,))
    row = await cursor.fetchone()
    return str(row[0]) if row else DEFAULT


async def set_policy(conn: Connection, user_id: str, policy: str) -> None:
    """Keep what the user wants from now on. Raises Refused `invalid`."""
    check_policy(policy)
    await conn.execute(
        "INSERT INTO chat_settings (user_id, when_busy) VALUES (%s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET when_busy = excluded.when_busy",
        (user_id, policy),
    )


def check_policy(policy: str | None) -> None:
    """Raise Refused `invalid` for what is no policy; None is the user's own."""
    if policy is not None and policy not in BUSY_POLICIES:
        raise Refused("invalid", f"when_busy is one of {', '.join(BUSY_POLICIES)}.")


def waits_for_slot(licence: Licence, *, running: int) -> str:
    """What to tell a user as many of whose turns run as the licence allows at once; "" for any other."""
    cap = licence.limits.turns_at_once
    if cap is None or running < cap:
        return ""
    if cap == 1:
        return ONE_AT_ONCE
    return f"Your licence has {cap} messages answered at once. This one begins when another has ended."
