"""Keys under which tools do what they do at most once: kept before the call, so that a later attempt says the same."""

from dataclasses import dataclass, field

from agents.errors import FenceLost
from agents.queue import Claim
from gateway.db import connection


@dataclass(slots=True)
class EffectKeys:
    """The keys of one attempt at a turn. A later attempt that wants the same of the same tool gets the same key."""

    claim: Claim
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    async def key(self, tool: str, digest: str, place: str) -> str:
        """The key of a call with arguments of this `digest`; `place` is step and call, and names it when it is new.

        Raises FenceLost when another worker has taken the turn over: then the call must not be made.
        """
        nth = self.seen[tool, digest] = self.seen.get((tool, digest), 0) + 1
        claim = self.claim
        async with connection() as conn, conn.transaction():
            held = await conn.execute(
                "SELECT 1 FROM turns WHERE id = %s AND fence = %s AND state = 'running' FOR SHARE",
                (claim.turn, claim.fence),
            )
            if await held.fetchone() is None:
                raise FenceLost
            await conn.execute(
                "INSERT INTO effect_keys (turn_id, tool, digest, nth, key) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (turn_id, tool, digest, nth) DO NOTHING",
                (claim.turn, tool, digest, nth, f"{claim.turn}/{place}/{claim.fence}"),
            )
            cursor = await conn.execute(
                "SELECT key FROM effect_keys WHERE turn_id = %s AND tool = %s AND digest = %s AND nth = %s",
                (claim.turn, tool, digest, nth),
            )
            row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("A key that was just kept is not there.")
        return str(row[0])
