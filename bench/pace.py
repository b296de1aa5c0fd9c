"""How fast the machine itself is while something is measured on it.

    python -m bench.pace

A process that does the same small piece of work again and again until its standard input ends, and then prints what each took
of processor time, as lines `<end on the monotonic clock> <seconds>`. It waits for no core in that time: what makes the
piece take a multiple of its usual time is the machine, as where a host shares its processors between several.
"""

import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.smoke import ROOT

# Additions in one piece, some 0.2 ms, and the time between two.
WORK = 4000
EVERY_S = 0.005
# So many times the usual time: the machine is slow.
SLOW = 3
# What has piled up meanwhile is done after it.
AFTER_S = 0.15


@dataclass
class Pace:
    """What the pieces took: when each ended, on the monotonic clock, and its processor time in seconds."""

    pieces: list[tuple[float, float]] = field(default_factory=list)

    def slow(self) -> list[tuple[float, float]]:
        """The spans in which the machine was slow, and what piled up was done."""
        if not self.pieces:
            return []
        usual = statistics.median(took for _, took in self.pieces)
        spans: list[tuple[float, float]] = []
        for end, took in self.pieces:
            if took < SLOW * usual:
                continue
            begin = end - took
            if spans and begin <= spans[-1][1]:
                begin = spans.pop()[0]
            spans.append((begin, end + AFTER_S))
        return spans


def apart(moments: Sequence[tuple[float, float]], spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of the stretches of time that touch none of the spans."""
    return [each for each in moments if all(each[1] < begin or end < each[0] for begin, end in spans)]


@contextmanager
def watched() -> Iterator[Pace]:
    """Measure the pace in the background; what it was is there at the end of the block."""
    pace = Pace()
    command = [sys.executable, "-m", "bench.pace"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield pace
        told, _ = process.communicate()
    pace.pieces += [(float(end), float(took)) for end, took in (line.split() for line in told.splitlines())]


def main() -> None:
    """Work until the input ends, and print."""
    pieces = []
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        begun = time.thread_time()
        total = 0
        for number in range(WORK):
            total += number
        took = time.thread_time() - begun
        pieces.append(f"{time.monotonic():.6f} {took:.6f}\n")
    sys.stdout.writelines(pieces)


if __name__ == "__main__":
    main()
