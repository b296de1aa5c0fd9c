"""Which turns a socket follows, and how far each has been sent. No I/O: the outlet reads and sends."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Late hints of a turn that ended come within seconds; this many turns do not end in that time.
ENDED_KEPT = 1000
# Two hosts' clocks, which stand in the ids, differ by less.
CLOCK_SKEW_S = 5.0


@dataclass(slots=True, eq=False)
class Tail:
    """A turn that is followed; `sent` is the number of the last event that went out, `asked` the id of the frame that asked.

    `failures` counts the attempts in vain to read the ending of a turn without a journal; the next one is due at `again_at`
    (seconds of the monotonic clock).
    """

    turn: str
    sent: int
    asked: str | None = None
    failures: int = 0
    again_at: float = 0.0


class Tails:
    """The turns of one socket.

    A turn of `running` (open when the socket came) is left alone until it is asked for, since the client may hold a part
    of it; a later one is followed from its first event.
    """

    def __init__(self, running: Iterable[str] = ()) -> None:
        self._tails: dict[str, Tail] = {}
        self._unasked = set(running)
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._due: dict[str, None] = {}
        self._parked: list[str] | None = None
        self._since_s = time.time()

    def knows(self, turn: str) -> bool:
        """Whether the turn is followed, was, or waits to be asked for."""
        return turn in self._tails or turn in self._unasked or turn in self._ended

    def may_be_new(self, turn: str) -> bool:
        """Whether the turn's id says that it was accepted after this socket opened, as far as two clocks can tell."""
        return (uuid.UUID(turn).int >> 80) / 1000 > self._since_s - CLOCK_SKEW_S

    def hint(self, turn: str, seq: int) -> None:
        """The turn's journal has events up to `seq`. One that had ended goes on when staff had it tried again."""
        if seq > self._ended.get(turn, seq):
            self.follow(turn, after=self._ended[turn])
        elif turn in self._tails and seq > self._tails[turn].sent:
            self._due[turn] = None

    def adopt(self, turn: str) -> None:
        """Follow a turn that came up elsewhere, from its first event."""
        if self._parked is not None:
            self._parked.append(turn)
        elif not self.knows(turn):
            self.follow(turn, after=0)

    def follow(self, turn: str, *, after: int, asked: str | None = None) -> None:
        """Send the turn's events past `after`, whatever was sent of it before."""
        self._unasked.discard(turn)
        self._ended.pop(turn, None)
        self._tails[turn] = Tail(turn, after, asked)
        self._due[turn] = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin to follow no turn meanwhile: the one that is being accepted must first be called so."""
        self._parked = []
        try:
            yield
        finally:
            parked, self._parked = self._parked, None
            for turn in parked:
                self.adopt(turn)

    def end(self, turn: str, *, last: int) -> None:
        """The turn's last event, numbered `last`, was sent or is not to be."""
        self._tails.pop(turn, None)
        self._due.pop(turn, None)
        self._ended[turn] = last
        if len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)

    def is_current(self, tail: Tail) -> bool:
        """Whether the tail was not replaced by a later `follow`."""
        return self._tails.get(tail.turn) is tail

    def poll(self) -> bool:
        """Look at every turn that is followed: a hint may have been lost. Whether anything is due."""
        self._due.update(dict.fromkeys(self._tails))
        return bool(self._due)

    def take_due(self) -> list[Tail]:
        """The turns to read now, each once."""
        due, self._due = self._due, {}
        return [self._tails[turn] for turn in due]
