"""Print how long the server takes to be healthy and how much memory it has then: `python measure_start.py [runs]`.

Linux only, from this folder. Nothing is asserted: the figures belong to the machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp_server.tests.harness import get, running_server


def measure(folder: Path) -> tuple[float, float]:
    """Seconds from the start to a healthy answer, and the resident memory then in MB."""
    begun = time.perf_counter()
    with running_server(folder, Ed25519PrivateKey.generate()) as server:
        get(f"{server.url}/healthz").raise_for_status()
        healthy_s = time.perf_counter() - begun
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return healthy_s, next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with TemporaryDirectory() as folder:
        figures = [measure(Path(folder)) for _ in range(runs)]
    times, sizes = zip(*figures, strict=True)
    sys.stdout.write(
        f"healthy after {statistics.median(times):.2f} s (worst {max(times):.2f} s), {max(sizes):.0f} MB resident\n"
    )


if __name__ == "__main__":
    main()
