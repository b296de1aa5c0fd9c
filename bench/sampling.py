"""Run `manage.py` with a sampler of processor time in it, for measurements.

    python -m bench.sampling OUT serve --port 3000

SIGUSR2 begins a profile, and the next one writes it to OUT: how often the processor was found in each function (self) and
under it (total), as JSON. A sample is taken at every 2 ms of processor time, where Python next looks for signals: what C
code takes counts for the Python function that called it.
"""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY_S = 0.002


class Sampler:
    """Counts the stacks of the main thread while it is on."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._on = False
        self._own: Counter[str] = Counter()
        self._total: Counter[str] = Counter()

    def toggle(self, _number: int, _frame: FrameType | None) -> None:
        """Begin, or write what was found."""
        self._on = not self._on
        signal.setitimer(signal.ITIMER_PROF, EVERY_S if self._on else 0, EVERY_S if self._on else 0)
        if not self._on:
            # Whole or not at all: the reader waits for the file.
            draft = self._out.with_suffix(".draft")
            draft.write_text(json.dumps({"own": self._own, "total": self._total, "samples": self._own.total()}))
            draft.replace(self._out)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """Count one stack, each function in it once."""
        if frame is None:
            return
        self._own[_name(frame)] += 1
        under = set()
        while frame is not None:
            under.add(_name(frame))
            frame = frame.f_back
        self._total.update(under)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    path = code.co_filename
    for root in (f"site-packages{os.sep}", os.getcwd() + os.sep):
        if root in path:
            path = path.rpartition(root)[2]
    return f"{path}:{code.co_firstlineno} {code.co_qualname}"


def main() -> None:
    """Run the command of `manage.py` that was asked for."""
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.signal(signal.SIGUSR2, sampler.toggle)
    sys.path.insert(0, os.getcwd())
    sys.argv = ["manage.py", *sys.argv[2:]]
    import manage  # noqa: PLC0415 - only now is the path to it known

    manage.main()


if __name__ == "__main__":
    main()
