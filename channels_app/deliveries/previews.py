"""Show answers in their chats while they are written, where the platform lets a message be edited."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import psycopg
import structlog
from redis.exceptions import RedisError

from agents.journal import journal
from agents.running import RunningTurn, running_in_chats
from channels_app import metrics
from channels_app.channels import Channel, channel_that_is_on
from channels_app.deliveries.detours import unasked_target
from channels_app.deliveries.headings import headed
from channels_app.deliveries.preview_rows import PREVIEW, show
from channels_app.deliveries.rows import Letter, rest, take_slot
from channels_app.deliveries.signs import Signs, speaks_for
from channels_app.drafts import number_of, wished
from channels_app.wording import previewed

# Half of the shortest time between two edits that any platform bears.
TICK_S = 0.5
# One message of any platform is shorter; markdown that nobody sees yet is not rendered again and again.
MAX_PREVIEW_CHARS = 6000
# Its text may be another by then.
FAULT_REST_S = 10.0

__all__ = ["PREVIEW", "TICK_S", "Previews"]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Followed:
    """A turn that is followed in its journal up to `seq`: its text so far, how much of it is shown, when more may be.

    Before there is any, a sign of work is due at `typing_at`. After a fault it is left alone until `mended_at`. `drafts`:
    whether its user wants to see drafts, None = not known.
    """

    seq: int = 0
    text: str = ""
    shown: str = ""
    next_at: float = 0.0
    typing_at: float = 0.0
    mended_at: float = 0.0
    drafts: bool | None = None


class Previews:
    """The turns that run in this process and were asked in a chat: each has one process that shows it, whoever takes it over."""

    def __init__(self, holder: UUID, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._holder, self._clock = holder, clock
        self._followed: dict[str, _Followed] = {}
        self._typing, self._drafts = Signs(), Signs()

    async def look(self) -> None:
        """Show what has been written since. Raises psycopg.Error when the database fails."""
        running = [_unasked(turn) for turn in await running_in_chats(self._holder)]
        self._followed = {turn.id: self._followed.get(turn.id) or _Followed() for turn in running}
        for signs in (self._typing, self._drafts):
            signs.keep(set(self._followed))
        for turn in running:
            if self._clock() >= self._followed[turn.id].mended_at:
                await self._try(turn)

    async def close(self) -> None:
        """Break off what is on its way and no delivery."""
        for signs in (self._typing, self._drafts):
            await signs.close()

    async def _try(self, turn: RunningTurn) -> None:
        """Show one: its fault is none of the others', nor of the messages that this process sends."""
        try:
            channel = channel_that_is_on(turn.channel)
            every_s = channel.preview_every_s(turn.reply_to) if channel else None
            if channel is not None and every_s is not None:
                await self._show(turn, channel, every_s=every_s)
        except (psycopg.OperationalError, psycopg.InternalError):
            raise
        except Exception:
            self._followed[turn.id].mended_at = self._clock() + FAULT_REST_S
            metrics.preview_faults.labels(channel=turn.channel).inc()
            log.exception("preview_failed", turn=turn.id, channel=turn.channel)

    def _show_work(self, turn: RunningTurn, channel: Channel) -> None:
        followed, now = self._followed[turn.id], self._clock()
        every_s = channel.typing_every_s(turn.reply_to)
        if every_s is None or now < followed.typing_at:
            return
        if self._typing.give(turn, channel, partial(channel.typing, turn.reply_to, about=turn.about)):
            followed.typing_at = now + every_s

    async def _wants_draft(self, turn: RunningTurn, channel: Channel) -> bool:
        """Whether a turn is shown as a draft: its user wants it, and the platform takes it."""
        followed = self._followed[turn.id]
        if followed.drafts is None:
            alone = channel.private(turn.reply_to) == turn.reply_to
            account = channel.account_of(turn.reply_to)
            followed.drafts = bool(channel.draft_s) and alone and await wished(channel.name, account)
        elif followed.drafts and self._drafts.refused(turn.id):
            # From here on by edits, with all that there is.
            followed.drafts, followed.shown = False, ""
        return followed.drafts

    async def _draft(self, turn: RunningTurn, channel: Channel, text: str, *, every_s: float) -> None:
        followed, now = self._followed[turn.id], self._clock()
        is_old = now >= followed.next_at + channel.draft_s / 2
        if now < followed.next_at or (text == followed.shown and not is_old and followed.next_at):
            return
        part = await asyncio.to_thread(previewed, channel, text)
        lane = f"{channel.name}:{channel.chat_of(turn.reply_to)}"

        async def show_draft() -> None:
            # It counts as a message, and the end of the turn must not overtake it.
            await asyncio.sleep(await take_slot(channel.name, every_s=channel.bulk_every_s() or 0.0))
            await rest(lane, seconds=every_s)
            if not await speaks_for(turn, channel):
                return
            await channel.draft(part, turn.reply_to, number=number_of(turn.id))

        if self._drafts.give(turn, channel, show_draft):
            followed.next_at, followed.shown = now + every_s, text

    async def _show(self, turn: RunningTurn, channel: Channel, *, every_s: float) -> None:
        followed, now = self._followed[turn.id], self._clock()
        await _read(turn, followed)
        text = headed(_untold(turn, followed)[:MAX_PREVIEW_CHARS].rstrip(), task="" if turn.told else turn.task)
        if await self._wants_draft(turn, channel):
            await self._draft(turn, channel, text, every_s=every_s)
            return
        if not text:
            self._show_work(turn, channel)
        if text == followed.shown or now < followed.next_at:
            return
        # Off the loop: a long text takes some milliseconds.
        part = await asyncio.to_thread(previewed, channel, text)
        if part is None:
            return
        letter = Letter(
            origin="",
            channel=channel.name,
            chat=channel.chat_of(turn.reply_to),
            target=turn.reply_to,
            kind=PREVIEW,
            parts=[part],
            account=channel.account_of(turn.reply_to),
            user_id=turn.user_id,
            turn=turn.id,
        )
        followed.next_at = now + every_s
        if await show(letter, holder=self._holder, chars=len(text)):
            followed.shown = text


def _unasked(turn: RunningTurn) -> RunningTurn:
    """What a task begins answers nothing; see detours.unasked."""
    return turn if turn.begun_by is None else replace(turn, reply_to=unasked_target(turn.channel, turn.reply_to))


def _untold(turn: RunningTurn, followed: _Followed) -> str:
    """What was written since the turn waited; nothing while the journal does not even hold what came before."""
    return followed.text[len(turn.told) :].lstrip() if followed.text.startswith(turn.told) else ""


async def _read(turn: RunningTurn, followed: _Followed) -> None:
    try:
        found = await journal().read(turn.id, after=followed.seq)
    except (RedisError, OSError) as error:
        log.warning("journal_unreachable", error=type(error).__name__)
        return
    if found is None:
        return
    for frame in found.frames:
        event = json.loads(frame)
        if event["type"] == "token":
            followed.text += event["content"]
        elif event["type"] == "snapshot":
            followed.text = event["content"]
    followed.seq = max(followed.seq, found.last)
