"""Pictures that tools or models made for the user and nobody else keeps: here for a day, for the page to show."""

import re

from agents.errors import FenceLost, Refused
from agents.queue import Claim
from gateway.db import connection
from gateway.ids import is_id, new_id

# What a browser shows and nothing runs in. Sources: the formats' own signatures; of WebP RFC 9649, section 2.4.
MEDIA_TYPES = {
    rb"\x89PNG\r\n\x1a\n": "image/png",
    rb"\xff\xd8\xff": "image/jpeg",
    rb"RIFF.{4}WEBP": "image/webp",
}
# A chart has some 50 KiB, what a model draws two MiB.
MOST_BYTES = 4 * 1024 * 1024
MOST_IN_A_TURN = 12


def media_type(content: bytes) -> str:
    """What a browser is told that it is; "" for what is not shown."""
    if not 0 < len(content) <= MOST_BYTES:
        return ""
    return next((name for mark, name in MEDIA_TYPES.items() if re.match(mark, content, re.DOTALL)), "")


async def keep_picture(claim: Claim, content: bytes) -> str:
    """Keep a picture of a running turn; where the page finds it, "" when there are too many. Raises FenceLost."""
    picture = new_id()
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT (SELECT count(*) FROM pictures WHERE turn_id = t.id) FROM turns t"
            " WHERE t.id = %s AND t.fence = %s AND t.state = 'running'",
            (claim.turn, claim.fence),
        )
        row = await cursor.fetchone()
        if row is None:
            raise FenceLost
        if row[0] >= MOST_IN_A_TURN:
            return ""
        await conn.execute(
            "INSERT INTO pictures (id, turn_id, user_id, media_type, content, kept_until)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + interval '1 day')",
            (picture, claim.turn, claim.user_id, media_type(content), content),
        )
    return f"/api/v1/pictures/{picture}"


async def read_picture(picture: str, *, user_id: str) -> tuple[bytes, str]:
    """A picture of the user's, and its media type. Raises Refused `not_found` for another's, and for one that is gone."""
    if is_id(picture):
        async with connection() as conn:
            cursor = await conn.execute(
                "SELECT content, media_type FROM pictures WHERE id = %s AND user_id = %s", (picture, user_id)
            )
            row = await cursor.fetchone()
        if row is not None:
            return bytes(row[0]), str(row[1])
    raise Refused("not_found", "There is no such picture. They are kept for a day.")


async def sweep_pictures() -> None:
    """Erase those whose day is over."""
    async with connection() as conn:
        await conn.execute("DELETE FROM pictures WHERE kept_until < clock_timestamp()")
