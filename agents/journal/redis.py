"""The journal in Redis (or Valkey), for any number of processes.

Two keys a turn, in one hash slot: `m` holds fence, first and next number, `e` the events. Each operation is one script, so
that the check of the fence and the write are one step.
"""

from collections.abc import Sequence
from typing import Any, Self

import redis.asyncio

from agents.errors import FenceLost, JournalLost
from agents.journal.slices import Slice, slice_of

_FENCE_LOST, _MISSING = -1, -2

_OPEN = """
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and tonumber(fence) > tonumber(ARGV[1]) then return {-1, 0} end
if not fence then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'first', ARGV[2], 'next', ARGV[2])
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
local meta = redis.call('HMGET', KEYS[1], 'first', 'next')
return {tonumber(meta[2]), tonumber(meta[2]) > tonumber(meta[1]) and 1 or 0}
"""
_APPEND = """
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return -2 end
if tonumber(fence) > tonumber(ARGV[1]) then return -1 end
for i = 3, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'next', #ARGV - 2)
"""
_READ = """
local meta = redis.call('HMGET', KEYS[1], 'first', 'next')
if not meta[1] then return nil end
local first = math.max(tonumber(ARGV[1]) + 1, tonumber(meta[1]))
first = math.min(first, tonumber(meta[2]))
return {first, redis.call('LRANGE', KEYS[2], first - tonumber(meta[1]), -1)}
"""


class RedisJournal:
    """Keeps journals in Redis under `dexorder:journal:{<turn>}:…`."""

    def __init__(self, client: "redis.asyncio.Redis", *, open_ttl_s: int, final_ttl_s: int) -> None:
        self._client, self._open_ttl_s, self._final_ttl_s = client, open_ttl_s, final_ttl_s
        self._open = client.register_script(_OPEN)
        self._append = client.register_script(_APPEND)
        self._read = client.register_script(_READ)

    @classmethod
    def connect(cls, url: str, *, open_ttl_s: int, final_ttl_s: int) -> Self:
        """A journal on the server at `url`; connections are made when first needed."""
        client = redis.asyncio.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=3)
        return cls(client, open_ttl_s=open_ttl_s, final_ttl_s=final_ttl_s)

    async def open(self, turn: str, *, fence: int, floor: int) -> tuple[int, bool]:
        """See Journal.open. Raises redis.RedisError when the server can't be reached."""
        number, there = await self._open(keys=_keys(turn), args=[fence, floor, self._open_ttl_s])
        if number == _FENCE_LOST:
            raise FenceLost
        return number, bool(there)

    async def append(self, turn: str, events: Sequence[str], *, fence: int) -> int:
        """See Journal.append. Raises redis.RedisError when the server can't be reached."""
        number: int = await self._append(keys=_keys(turn), args=[fence, self._open_ttl_s, *events])
        if number == _FENCE_LOST:
            raise FenceLost
        if number == _MISSING:
            raise JournalLost
        return number

    async def read(self, turn: str, *, after: int) -> Slice | None:
        """See Journal.read. Raises redis.RedisError when the server can't be reached."""
        found: list[Any] | None = await self._read(keys=_keys(turn), args=[after])
        return slice_of(found[1], first=found[0]) if found else None

    async def finish(self, turn: str) -> None:
        """See Journal.finish. Raises redis.RedisError when the server can't be reached."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for key in _keys(turn):
                pipeline.expire(key, self._final_ttl_s)
            await pipeline.execute()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _keys(turn: str) -> list[str]:
    return [f"dexorder:journal:{{{turn}}}:m", f"dexorder:journal:{{{turn}}}:e"]
