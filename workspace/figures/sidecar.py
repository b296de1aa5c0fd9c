"""How much memory and processor the sidecar uses, as the server's parent and in a pod."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lifecycle_sidecar.tests.peers import NAME, QUIET, activity, cluster

from figures._processes import cpu_s, resident_mb

WORKSPACE = Path(__file__).parents[1]
LOOKS = 200
# Looks come a hundred times as often as by default, so that a measurement doesn't take a quarter of an hour.
POLL_S, DEFAULT_POLL_S = 0.05, 5.0
AIM_MB, AIM_PERCENT = 40, 1
MOST_MB, MOST_PERCENT = 60, 5


@contextmanager
def sidecar(url: str, options: list[str], environ: dict[str, str]) -> Iterator[int]:
    """A sidecar that looks every `POLL_S` seconds; gives its process id."""
    common = ["--activity-url", url, "--poll-seconds", str(POLL_S)]
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "lifecycle_sidecar", *common, *options],
        cwd=WORKSPACE,
        env={**os.environ, **environ},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def measure(options: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Peak of the resident memory in MB, and the share of a core in percent with a look every 5 s."""
    asked = 0

    def answer(number: int) -> dict[str, float]:
        nonlocal asked
        asked = number
        return QUIET

    def wait_for(number: int) -> None:
        while asked < number:
            time.sleep(POLL_S)

    with activity(answer) as url, sidecar(url, options, environ) as pid:
        wait_for(20)
        looks, used_s = asked, cpu_s(pid)
        wait_for(looks + LOOKS)
        share = (cpu_s(pid) - used_s) / (asked - looks) / DEFAULT_POLL_S
        return resident_mb(pid, peak=True), 100 * share


def main() -> list[str]:
    sleeps = ["--idle-seconds", "0", "--spawn", "--", sys.executable, "-c", "import signal; signal.pause()"]
    with TemporaryDirectory() as folder, cluster(Path(folder)) as api:
        # So short an idle time that the API server is asked at most looks.
        in_pod = ["--idle-seconds", str(2 * POLL_S), "--deployment", NAME, "--credentials", folder]
        figures = {"as parent": measure(sleeps, {}), "in a pod": measure(in_pod, api.environ)}
    for place, (size, share) in figures.items():
        sys.stdout.write(
            f"sidecar {place}: {size:.0f} MB (aim {AIM_MB} MB), {share:.3f} % of a core (aim {AIM_PERCENT} %)\n"
        )
    return [
        f"the sidecar {place} uses {size:.0f} MB and {share:.1f} % of a core"
        for place, (size, share) in figures.items()
        if size > MOST_MB or share > MOST_PERCENT
    ]


if __name__ == "__main__":
    main()
