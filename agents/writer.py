"""Write a turn's events to its journal: text coalesced, each write fenced, and a hint after it."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from redis.exceptions import RedisError

from agents.errors import FenceLost, JournalLost
from agents.events import Event, Image, Notice, Snapshot, Token
from agents.hints import hint_turn
from agents.journal import Journal
from agents.queue import JOURNAL_BLOCK, Claim
from agents.settlement import Beside
from gateway.db import connection

# DESIGN: the first piece of text leaves at once, later ones at most one frame per 25 ms and turn.
COALESCE_S = 0.025

log = structlog.get_logger(__name__)


def encode(event: Event, turn: str, conversation: str) -> str:
    """An event as the JSON text that the journal keeps (without `seq`)."""
    frame = {"type": event.type, "turn": turn, "conversation": conversation, **event.payload()}
    try:
        text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:
        # A tool may report NaN or infinity, which JSON does not know.
        text = json.dumps(_finite(frame), ensure_ascii=False, separators=(",", ":"), default=str)
    # Half of a surrogate pair, which a model may write, has no place in UTF-8.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def joined(before: str, after: str) -> str:
    """What a turn wrote before and after it waited, as one text."""
    return f"{before}{_gap(before)}{after}" if after else before


def _gap(before: str) -> str:
    return "\n\n" if before and not before[-1].isspace() else ""


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


class TurnWriter:
    """The one writer of a claimed turn. `text` is the answer as far as it was written, `images` and `notices` are the attempt's.

    A journal that is lost, or whose server can't be reached, never stops the turn: the next write that succeeds begins
    with a snapshot of the whole text.
    """

    def __init__(self, claim: Claim, journal: Journal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.claim = claim
        self.text = ""
        self.images: list[Image] = []
        self.notices: list[str] = []
        self.first_token_at: float | None = None
        self._journal, self._clock = journal, clock
        self._pending: list[str] = []
        self._gap = ""
        self._next, self._reserved = claim.floor, claim.reserved
        self._whole, self._over = True, False
        self._last_flush = -COALESCE_S
        self._timer: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> bool:
        """Claim the journal; whether it holds events. Raises FenceLost when the turn has been taken over since."""
        try:
            self._next, there = await self._journal.open(self.claim.turn, fence=self.claim.fence, floor=self._next)
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            self._whole = False
            return False
        return there

    @property
    def beside(self) -> Beside:
        """What the attempt has shown beside its words."""
        # A notice that is said again, as before each model of a fallback, is one.
        return Beside(tuple(self.images), tuple(dict.fromkeys(self.notices)))

    async def emit(self, event: Event) -> None:
        """Write an event; text may wait 25 ms for more. Raises FenceLost when the turn has been taken over."""
        if self._over:
            # What an attempt has left behind has nothing to add.
            return
        if isinstance(event, Token):
            await self._emit_text(event.content)
            return
        if isinstance(event, Snapshot):
            self.text = event.content
        if isinstance(event, Image):
            self.images.append(event)
        if isinstance(event, Notice):
            self.notices.append(event.text)
        async with self._lock:
            await self._write([*self._taken_text(), event])

    async def resume(self, text: str, *, shown: bool) -> None:
        """Go on after `text`, which takes the place of what is shown unless it is; what follows is a paragraph of its own."""
        self.text, self._gap = text, _gap(text)
        if not shown:
            await self.emit(Snapshot(content=text))

    async def pause(self, event: Event) -> bool:
        """Write the last event before the turn waits; False when the journal could not be written."""
        await self.emit(event)
        self.close()
        return self._whole

    async def last_seq(self) -> int | None:
        """The number that the turn's last event will have, should nothing but text come before it; None = not known."""
        # A flush that is under way has taken its text, and not yet its number.
        async with self._lock:
            return self._next + bool(self._pending) if self._whole else None

    async def finish(self, event: Event) -> int | None:
        """Write the turn's last event, and let the journal expire after its time.

        Returns the event's number; None when it could not be written.
        """
        await self.emit(event)
        self.close()
        try:
            await self._journal.finish(self.claim.turn)
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            return None
        return self._next - 1 if self._whole else None

    def close(self) -> None:
        """Drop what waits to be written, and what comes; the turn goes on elsewhere, or is over."""
        self._over = True
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()

    async def _emit_text(self, text: str) -> None:
        if not text:
            return
        if self.first_token_at is None:
            self.first_token_at = self._clock()
        text, self._gap = self._gap + text, ""
        self.text += text
        self._pending.append(text)
        wait_s = self._last_flush + COALESCE_S - self._clock()
        if wait_s <= 0:
            async with self._lock:
                await self._write(self._taken_text())
        elif self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._flush_later(wait_s))

    async def _flush_later(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        async with self._lock:
            try:
                await self._write(self._taken_text())
            except (FenceLost, psycopg.Error) as error:
                # The turn's own task meets the same at its next write, and stops there.
                self._whole = False
                log.info("text_not_written", turn=self.claim.turn, error=type(error).__name__)

    def _taken_text(self) -> list[Event]:
        if not self._pending:
            return []
        text = "".join(self._pending)
        self._pending.clear()
        self._last_flush = self._clock()
        return [Token(content=text)]

    async def _write(self, events: list[Event]) -> None:
        if not events:
            return
        try:
            await self._append(events)
        except JournalLost:
            self._whole = False
            await self._write_again(events)
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            self._whole = False

    async def _write_again(self, events: list[Event]) -> None:
        try:
            await self._journal.open(self.claim.turn, fence=self.claim.fence, floor=self._next)
            await self._append(events)
        except (JournalLost, RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)

    async def _append(self, events: list[Event]) -> None:
        claim = self.claim
        if not self._whole:
            await self._journal.open(claim.turn, fence=claim.fence, floor=self._next)
            events = [Snapshot(content=self.text), *(event for event in events if not isinstance(event, Token))]
        if self._next + len(events) >= self._reserved:
            await self._reserve()
        texts = [encode(event, claim.turn, claim.conversation) for event in events]
        self._next = max(self._next + len(texts), await self._journal.append(claim.turn, texts, fence=claim.fence))
        self._whole = True
        await hint_turn(claim.user_id, turn=claim.turn, seq=self._next - 1)

    async def _reserve(self) -> None:
        """Reserve the next block of numbers, so that a journal that is lost never starts again below them."""
        reserved = self._reserved + JOURNAL_BLOCK
        async with connection() as conn:
            cursor = await conn.execute(
                "UPDATE turns SET journal_floor = %s WHERE id = %s AND fence = %s",
                (reserved, self.claim.turn, self.claim.fence),
            )
        if cursor.rowcount == 0:
            raise FenceLost
        self._reserved = reserved
