"""What one socket may do: how many frames in how much time, how many of them bad."""

import time
from collections import deque
from collections.abc import Callable

FLOOD_FRAMES = 100
FLOOD_WINDOW_S = 10.0
BAD_FRAMES = 10


class FrameLimits:
    """Counts a socket's frames; `clock` gives seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A socket that only listens needs none.
        self._times: deque[float] | None = None
        self._bad = 0

    def flooding(self) -> bool:
        """Count a frame; whether it is past 100 within 10 s."""
        if self._times is None:
            self._times = deque(maxlen=FLOOD_FRAMES + 1)
        self._times.append(self._clock())
        return len(self._times) > FLOOD_FRAMES and self._times[-1] - self._times[0] < FLOOD_WINDOW_S

    def one_bad_too_many(self) -> bool:
        """Count a bad frame; whether it is the tenth of the socket."""
        self._bad += 1
        return self._bad >= BAD_FRAMES
