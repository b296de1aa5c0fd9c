"""Whether the connections of this process may still be: every licence and sign-out that changes is told to them.

The database's notifications say at once whose licence or session changed; a poll finds what they have not told, and the
licences that ran out. Nothing is kept in the process that a look at the rows would not give again.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import psycopg
import structlog

from accounts.licences import Licence, NotLicensed, active_licence
from accounts.sessions import SignedOut
from accounts.standing import licence_marks, open_sessions
from accounts.tokens import Identity
from gateway.ending import end
from gateway.mailbox import Mailbox
from gateway.wakeups import MAX_PAYLOADS, Wakeups

# What the triggers of accounts' migrations notify, the payload being the user's id.
CHANNELS = ("licences", "sessions")
# DESIGN: a change acts on open sockets within 5 s; this leaves time for a slow database.
POLL_S = 2.0

News = Licence | NotLicensed | SignedOut

log = structlog.get_logger(__name__)


class Standing:
    """What one connection's right to be there rests on; `lost` is why it ended."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.lost: NotLicensed | SignedOut | None = None
        # The licence after its next change, or why the connection must end.
        self.news: Mailbox[News] = Mailbox()

    def tell(self, news: News) -> None:
        """Pass on what was found; nothing follows what ends the connection."""
        if self.lost is None:
            self.lost = None if isinstance(news, Licence) else news
            self.news.put_nowait(news)


class Watch:
    """The connections of one event loop, and what is known of their users."""

    def __init__(self) -> None:
        self._of_user: dict[str, set[Standing]] = defaultdict(set)
        self._marks: dict[str, str | None] = {}
        self._task: asyncio.Task[None] | None = None

    async def add(self, standing: Standing) -> None:
        """Look after a connection. Raises psycopg.OperationalError when the database can't be asked."""
        user = standing.identity.user_id
        self._of_user[user].add(standing)
        if user not in self._marks:
            # From here on a change shows, also one that comes while the connection is being made.
            self._marks[user] = (await licence_marks([user])).get(user)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watch licences and sessions")

    async def remove(self, standing: Standing) -> None:
        """The connection has ended."""
        user = standing.identity.user_id
        self._of_user[user].discard(standing)
        if not self._of_user[user]:
            del self._of_user[user]
            self._marks.pop(user, None)
        if not self._of_user and self._task is not None:
            task, self._task = self._task, None
            await end([task])

    async def _run(self) -> None:
        wakeups = Wakeups()
        signal, clock = wakeups.on(*CHANNELS), asyncio.get_running_loop().time
        listening = asyncio.create_task(wakeups.run())
        next_poll = clock()
        try:
            while True:
                told = await signal.wait(timeout_s=POLL_S)
                # However many changes of other users are told, all are looked at in time.
                everybody = not told or len(told) >= MAX_PAYLOADS or clock() >= next_poll
                if everybody:
                    next_poll = clock() + POLL_S
                await self._look(list(self._of_user) if everybody else told)
        finally:
            await end([listening])

    async def _look(self, user_ids: Iterable[str]) -> None:
        users = {user for user in user_ids if user in self._of_user}
        if not users:
            return
        try:
            await self._look_at_licences(users)
            await self._look_at_sessions(users)
        except psycopg.Error as error:
            log.warning("standing_not_read", error=type(error).__name__)
        except Exception:  # a watch that ends would let the revoked stay
            log.exception("watch_broke")

    async def _look_at_licences(self, users: set[str]) -> None:
        marks = await licence_marks(users)
        for user in users:
            mark = marks.get(user)
            if mark is None or mark != self._marks.get(user):
                news = await _licence_news(user)
                for standing in list(self._of_user.get(user, ())):
                    standing.tell(news)
                self._marks[user] = mark

    async def _look_at_sessions(self, users: set[str]) -> None:
        bound = [
            (standing, standing.identity.session)
            for user in users
            for standing in self._of_user.get(user, ())
            if standing.identity.session
        ]
        if not bound:
            return
        still_open = await open_sessions({session for _, session in bound})
        for standing, session in bound:
            if session not in still_open and session == standing.identity.session:
                standing.tell(SignedOut())


async def _licence_news(user: str) -> Licence | NotLicensed:
    try:
        return await active_licence(user)
    except NotLicensed as error:
        return error


_watches: "WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]" = WeakKeyDictionary()


@asynccontextmanager
async def watched(standing: Standing) -> AsyncIterator[None]:
    """Have a connection's standing looked after meanwhile.

    Raises psycopg.OperationalError when the database can't be asked.
    """
    watch = _watches.setdefault(asyncio.get_running_loop(), Watch())
    try:
        await watch.add(standing)
        yield
    finally:
        await watch.remove(standing)
