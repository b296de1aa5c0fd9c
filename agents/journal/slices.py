"""What a reader of a journal gets; shared by both twins."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """The events after a number: `frames` as JSON text with `seq`, the first numbered `first`; `next` is the next number."""

    frames: list[str]
    first: int
    next: int

    @property
    def last(self) -> int:
        """The number of the journal's last event; one before its first number when it has none."""
        return self.next - 1


def slice_of(events: Sequence[str], *, first: int) -> Slice:
    """A slice of events given as JSON objects in text; the number becomes the last member of each."""
    frames = [f'{event[:-1]},"seq":{number}}}' for number, event in enumerate(events, start=first)]
    return Slice(frames, first, first + len(events))
