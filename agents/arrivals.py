"""A message's row as it is written: queued for whoever claims it, or claimed already by the worker beside whoever writes it.

Where nothing comes before a message, the worker of the loop that accepts it may begin at once: the row is written as that
worker's claim would leave it, which spares the turn a transaction, a notification and the wait for both. What a claim looks
at (queue.py) is looked at here, under the same locks: the conversation's, and the one under which a user's slots are given away.
"""

from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from agents.queue import JOURNAL_BLOCK, LEASED, Claim, unstored_beside, worked_on
from agents.rooms import Room
from gateway.db import Connection, notify

# Numbers that may be given before the first claim: what accepting shows, and each place in the queue on the way.
ACCEPT_BLOCK = 40
_FLOOR = 1 + ACCEPT_BLOCK

_WRITE: LiteralString = f"""
    WITH here AS MATERIALIZED (
        SELECT %(holder)s::uuid IS NOT NULL AND {LEASED} AND NOT {worked_on("%(conversation)s")} AS claims),
    made AS (
        INSERT INTO turns (id, user_id, conversation_id, channel, external_id, digest, content, wanted_model, reply_to, answer,
            accepted_at, cancel_requested, model, usage, error_code, error_message, dead, steers, told_position,
            state, holder, fence, attempts, started_at, journal_floor)
        SELECT %(turn)s, %(user_id)s, %(conversation)s, %(channel)s, %(external_id)s, %(digest)s, %(content)s, %(wanted_model)s,
            %(reply_to)s, '', clock_timestamp(), false, '', '{{}}', '', '', false, %(steers)s, %(position)s,
            CASE WHEN claims THEN 'running' ELSE %(state)s END, CASE WHEN claims THEN %(holder)s::uuid END,
            claims::int, claims::int, CASE WHEN claims THEN clock_timestamp() END,
            {_FLOOR} + CASE WHEN claims THEN {JOURNAL_BLOCK} ELSE 0 END
        FROM here ON CONFLICT (user_id, channel, external_id) DO NOTHING RETURNING id, conversation_id, state)
    SELECT made.state = 'running' AS claimed, c.model AS preferred_model, c.model_settled,
        {unstored_beside("made.id", "made.conversation_id")} AS unstored
    FROM made JOIN conversations c ON c.id = made.conversation_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A turn's row when it is new. `state` is `queued`, or `done` for a command, which no worker ever sees.

    `position` is None for one that does not wait; `room` the worker that may have it at once.
    """

    turn: str
    user_id: str
    conversation: str
    channel: str
    external_id: str
    digest: str
    content: str
    wanted_model: str
    reply_to: dict[str, Any] = field(default_factory=dict)
    state: str = "queued"
    steers: bool = False
    position: int | None = None
    room: Room | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The row is there; `claim` is set when it is claimed for the room that was named."""

    claim: Claim | None


async def write(conn: Connection, arrival: Arrival) -> Written | None:
    """Write the row and wake the workers, or claim it; None when the same message was written before.

    Whoever names a room holds the conversation's lock and the user's slots.
    """
    values = {
        "turn": arrival.turn, "user_id": arrival.user_id, "conversation": arrival.conversation, "channel": arrival.channel,
        "external_id": arrival.external_id, "digest": arrival.digest, "content": arrival.content,
        "wanted_model": arrival.wanted_model, "reply_to": Jsonb(arrival.reply_to), "state": arrival.state,
        "steers": arrival.steers, "position": arrival.position, "holder": arrival.room and arrival.room.holder,
    }  # fmt: skip
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_WRITE, values)
        row = await cursor.fetchone()
    if row is None:
        return None
    if row["claimed"]:
        return Written(_claim(arrival, row))
    if arrival.state == "queued":
        await notify(conn, "turns")
    return Written(None)


def _claim(arrival: Arrival, row: dict[str, Any]) -> Claim:
    """What the queue would have told of it."""
    return Claim(
        turn=arrival.turn, user_id=arrival.user_id, conversation=arrival.conversation, channel=arrival.channel,
        content=arrival.content, wanted_model=arrival.wanted_model, reply_to=arrival.reply_to, state="running", attempts=1,
        fence=1, cancel_requested=False, answer="", history=None, model="", usage={}, error_code="", error_message="", floor=1,
        reserved=_FLOOR + JOURNAL_BLOCK, preferred_model=row["preferred_model"], workflow="",
        model_settled=row["model_settled"], wait_kind="", wait_id=None, wait_state=None, waits=0, attached=False,
        unstored=row["unstored"], abandoned=False, waited_s=0.0,
    )  # fmt: skip
