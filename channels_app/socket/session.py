"""A socket that is open: its user, what it sends and follows, and the loops that keep it going."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import psycopg
import structlog

from accounts.licences import Licence, active_licence
from accounts.tokens import Identity
from agents.errors import Refused
from agents.turns import find_turn
from channels_app import warmup
from channels_app.problems import EXPECTED, UNLICENSED_CODES, explain, may_pass
from channels_app.protocol.server import Error, Status
from channels_app.replay import read_ending
from channels_app.socket.asgi import Send
from channels_app.socket.backstop import POLL_S
from channels_app.socket.closing import not_licensed
from channels_app.socket.expiry import Expiry
from channels_app.socket.hints import Hint
from channels_app.socket.lane import Lane
from channels_app.socket.outlet import Outlet
from channels_app.socket.tails import Tail, Tails
from channels_app.standing import Standing

# A workspace that stopped while the user was away is started again when they write, but not at every key.
WARM_AGAIN_S = 60.0
# An ending that can't be read now is read again ever more seldom: it may take a start of the workspace.
MOST_RECOVERY_WAIT_S = 60.0

log = structlog.get_logger(__name__)


class Session:
    """The state of one socket; handlers.py does what its frames ask for."""

    def __init__(self, standing: Standing, send: Send, *, running: list[str]) -> None:
        self.user_id = standing.identity.user_id
        self.tails = Tails(running)
        self.outlet = Outlet(send, tails=self.tails, on_lost=self._recover_later)
        self.expiry = Expiry(standing.identity.expires_at, self.outlet)
        self._standing = standing
        self.lane = Lane(on_broken=self.outlet.fail)
        self._status = ("", "")
        self._warmup: asyncio.Task[None] | None = None
        self._warmed_at = float("-inf")

    def renew(self, identity: Identity) -> None:
        """The client has shown a fresh token: from now on the socket rests on it alone."""
        self._standing.identity = identity
        self.expiry.renew(identity.expires_at)

    def follow(self, turn: str, *, after: int, asked: str | None = None) -> None:
        """Send the events of a turn of this user past `after`, and go on live; `asked` is the frame that asked for it."""
        self.tails.follow(turn, after=after, asked=asked)
        self.outlet.wake()

    async def refuse(self, error: Exception, *, frame_id: str | None) -> None:
        """Tell the client of one of problems.EXPECTED; without a licence the socket closes."""
        problem = explain(error)
        await self.outlet.put(
            Error(code=problem.code, message=problem.message, retry_after_s=problem.retry_after_s, id=frame_id)
        )
        if problem.code in UNLICENSED_CODES:
            self.outlet.close(not_licensed(problem.message))

    async def warm_up(self, *, clock: Callable[[], float], licence: Licence | None = None) -> None:
        """Have the user's workspace started, unless that was begun within the last 60 s or is under way.

        `licence` is the one that was just read, if it was. Raises NotLicensed, and psycopg.Error when the database fails.
        """
        if clock() - self._warmed_at < WARM_AGAIN_S or (self._warmup and not self._warmup.done()):
            return
        licence = licence or await active_licence(self.user_id)
        self._warmed_at = clock()
        self._warmup = warmup.begin(licence, tell=self._hear_status)

    def begin(self) -> None:
        """Watch the token's end until `end`."""
        self.expiry.begin()

    async def end(self) -> None:
        """The socket is gone."""
        self.expiry.end()
        await self.lane.end()

    def take_hint(self, hint: Hint) -> None:
        """Act on what the user's group is told."""
        try:
            if hint["type"] == "turn.hint":
                self._take_turn_hint(hint["turn"], hint["seq"])
            elif hint["type"] == "workspace.status":
                self._tell_status(hint["state"], hint["detail"])
        except Exception as error:  # whoever gives hints has nobody to tell; a socket that takes none must not stay
            log.exception("hint_not_taken")
            self.outlet.fail(error)

    def poll(self) -> None:
        """Look at every turn that is followed: a hint may have been lost."""
        if self.tails.poll():
            self.outlet.wake()

    def adopt(self, turn: str) -> None:
        """Follow a turn of the user's that is open, unless it is known."""
        self.tails.adopt(turn)

    def _take_turn_hint(self, turn: str, seq: int) -> None:
        if self.tails.knows(turn):
            self.tails.hint(turn, seq)
        elif self.tails.may_be_new(turn):
            self.tails.adopt(turn)
        else:
            # It may be a turn that goes on, or the last hint of one that was ending when this socket opened.
            self.lane.offer(partial(self._find_out, turn, seq), key=turn)
        self.outlet.wake()

    async def _find_out(self, turn: str, seq: int) -> None:
        try:
            view = await find_turn(turn, user_id=self.user_id)
        except (Refused, psycopg.Error) as error:
            log.info("hinted_turn_not_found", turn=turn, error=type(error).__name__)
            return
        if self.tails.knows(turn):
            return
        if view.told_by(seq):
            self.tails.end(turn, last=seq)
        elif view.open:
            self.tails.adopt(turn)
        else:
            # It went on, and has ended by now.
            self.tails.follow(turn, after=seq)
        self.outlet.wake()

    async def _hear_status(self, state: str, detail: str) -> None:
        self._tell_status(state, detail)

    def _tell_status(self, state: str, detail: str) -> None:
        """Tell a stage once: the start that this socket began and a turn's own report the same."""
        if (state, detail) != self._status and self.outlet.offer(Status(state=state, detail=detail)):
            self._status = (state, detail)

    def _recover_later(self, tail: Tail) -> None:
        if time.monotonic() >= tail.again_at:
            self.lane.offer(lambda: self._recover(tail), key=tail.turn)

    async def _recover(self, tail: Tail) -> None:
        """Send how a turn ended whose journal is no more; one that is open gets its journal back."""
        try:
            ending = await read_ending(tail.turn, user_id=self.user_id, after=tail.sent)
        except EXPECTED as error:
            if self.tails.is_current(tail):
                await self._not_recovered(tail, error)
            return
        if ending is not None and self.tails.is_current(tail):
            self.tails.end(tail.turn, last=max(tail.sent, ending.last))
            for frame in ending.frames:
                await self.outlet.put(frame)

    async def _not_recovered(self, tail: Tail, error: Exception) -> None:
        """End the tail, or put it off when the error may pass, which is told the first time only."""
        told, passing = tail.failures > 0, may_pass(error)
        if passing:
            tail.again_at = time.monotonic() + min(POLL_S * 2**tail.failures, MOST_RECOVERY_WAIT_S)
            tail.failures += 1
        else:
            self.tails.end(tail.turn, last=tail.sent)
        if not (told and passing):
            await self.refuse(error, frame_id=tail.asked)
