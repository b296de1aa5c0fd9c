"""Print how evenly 500 users at once are served, and what an idle socket costs.

    python -m bench.sockets [--users 500] [--sockets 2000]      (0 = leave that part out)

Each of the users is answered with 50 tokens 20 ms apart, all at the same time, by one gateway with its worker inside; each
frame of text may come later than the model's own pace by less than 100 ms at the 99th percentile, and nothing may fail. Then
idle sockets are opened, each another user's: the growth of the gateway's memory is to stay under 40 KB each. Exits 1 past a
bound.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.chat import configure
from bench.rig import Figures, Server, gateway, load, peers

DELAY_MS = 20
MOST_EXTRA_GAP_MS = 100.0
MOST_SOCKET_KB = 40.0


def main() -> None:
    """Measure, print, judge."""
    options = _options()
    faults = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = stack.enter_context(peers())
        users = max(options.users, options.sockets)
        subject = stack.enter_context(gateway(folder / "data", found, users=users))
        configure(found, delay_ms=DELAY_MS)
        if options.users:
            faults += _crowd(subject.server, options)
        if options.sockets:
            faults += _idle(subject.server, options)
    for fault in faults:
        print(f"FAILED: {fault}")
    sys.exit(bool(faults))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--messages", type=int, default=2)
    parser.add_argument("--sockets", type=int, default=2000)
    return parser.parse_args()


def _crowd(server: Server, options: argparse.Namespace) -> list[str]:
    figures = load(server, "chat", "-c", str(options.users), "-m", str(options.messages), "--gaps", "--timeout", "300")
    extra_ms = figures["gap_p99"] * 1000 - DELAY_MS
    print(
        f"{options.users} users, {figures['messages']} messages, {figures['errors']} errors {figures['error_samples']}"
    )
    print(f"  extra gap between tokens: p99 {extra_ms:.0f} ms (under {MOST_EXTRA_GAP_MS:.0f}), {_tail(figures)}")
    faults = [f"{figures['errors']} errors"] if figures["errors"] else []
    return [*faults, f"p99 of the extra gap is {extra_ms:.0f} ms"] if extra_ms >= MOST_EXTRA_GAP_MS else faults


def _tail(figures: Figures) -> str:
    return (
        f"p50 {figures['gap_p50'] * 1000 - DELAY_MS:.0f} ms, most {figures['gap_max'] * 1000 - DELAY_MS:.0f} ms;"
        f" first token p50 {figures['ttft_p50']:.1f} s, p99 {figures['ttft_p99']:.1f} s;"
        f" {figures['msgs_per_s']:.0f} messages/s, {figures['cpu_ms_per_msg']:.1f} ms of CPU each"
    )


def _idle(server: Server, options: argparse.Namespace) -> list[str]:
    # What the first turn and the first sockets of a process bring in is not a socket's own.
    load(server, "idle", "-n", "50", "-m", "1", "--hold", "1", "--settle", "3")
    figures = load(server, "idle", "-n", str(options.sockets), "--hold", "5")
    alive, each_kb = figures["alive_after_hold"], figures["kb_per_conn"]
    print(
        f"{options.sockets} idle sockets: {each_kb:.1f} KB each (under {MOST_SOCKET_KB:.0f}), {alive} alive after 5 s"
    )
    print(
        f"  {figures['idle_cpu_ms_per_s']:.0f} ms of CPU a second, {figures['errors']} errors {figures['error_samples']}"
    )
    faults = [f"{options.sockets - alive} sockets were not kept"] if alive < options.sockets else []
    return [*faults, f"an idle socket takes {each_kb:.1f} KB"] if each_kb >= MOST_SOCKET_KB else faults


if __name__ == "__main__":
    main()
