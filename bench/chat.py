"""Print what a whole durable turn costs the gateway, beside a contender that stores nothing, and how soon it speaks.

    python -m bench.chat [--rounds 1] [--users 64] [--messages 20] [--profile] [--alone]

Each user sends one message after another, each answered with 50 tokens, in a burst and then 20 ms apart: through WebSocket,
PostgreSQL (fsync on), agent and journal, with the context read from one stub MCP server and the turn stored there. The
contender (`fastify/`) passes a model's stream on, plainly and by its agent. Gateway and contender take turns on the same
core, against the same stubs. The aim is the contender's own figure in the same run. Exits 1 past a bound, so that a machine's
mood decides nothing: twice the aim, or twice what the contender took where the aim was set (11 and 42 ms), whichever is more.
Exits 3 when the contender can't be run: then the gateway's own figures are printed, and nothing is judged.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import procstat
from bench.contender import Absent, contender, installed
from bench.first_token import p50_ms, stages_ms, watch
from bench.loadgen import make_jwt
from bench.rig import Figures, Gateway, Peers, Server, gateway, load, peers, profile_of

# The contender's own secret, for a measurement on loopback.
CONTENDER_SECRET = "bench-secret-" + "x" * 32
DELAYS_MS = {"burst": 0, "paced": 20}
# Which of the contender's modes each case of the gateway is held against.
RIVALS = {"burst": "contender's stream", "paced": "contender's agent"}
# What these took on the machine where the aim was set, in milliseconds of CPU a message: newer Nodes and machines take less.
SET_AT_MS = {"burst": 11.0, "paced": 42.0}
FIRST_TOKEN_OVER_MS = 15.0
# How far past its aim a figure may be before this ends with 1.
GENEROUS = 2.0
LOW_LOAD_TURNS = 30
TOP = 20
MAIN_SHARE = 0.9
NO_CONTENDER = 3


@dataclass(frozen=True, slots=True)
class Bench:
    """All that runs."""

    gateway: Gateway
    rivals: tuple[Server, ...]
    peers: Peers
    options: argparse.Namespace


@dataclass(frozen=True, slots=True)
class Verdict:
    """One aim: what was measured, the most that was aimed at, and the most that is let pass; in milliseconds."""

    what: str
    measured: float
    aim: float
    bound: float

    @property
    def failed(self) -> bool:
        """Whether the measured figure is past the bound."""
        return self.measured > self.bound

    def __str__(self) -> str:
        word = "reached" if self.measured <= self.aim else "FAILED" if self.failed else "missed, within the bound"
        return f"{self.what}: {self.measured:.1f} ms; aim {self.aim:.1f} ms, bound {self.bound:.1f} ms: {word}"


def main() -> None:
    """Measure, print, judge."""
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = stack.enter_context(peers())
        subject = stack.enter_context(gateway(folder / "data", found, users=options.users))
        rivals: list[Server] = []
        if not options.alone:
            try:
                npm = installed(folder / "fastify")
                rivals = [stack.enter_context(contender(npm, found, agent=agent)) for agent in (False, True)]
            except Absent as absent:
                print(f"Nothing to compare with: {absent}", file=sys.stderr)
        bench = Bench(subject, tuple(rivals), found, options)
        rounds = [_round(case, bench) for case in options.cases for _ in range(options.rounds)]
        first = _first_tokens(bench)
    verdicts = _verdicts(rounds, first) if rivals else []
    for verdict in verdicts:
        print(verdict)
    if any(verdict.failed for verdict in verdicts):
        sys.exit(1)
    if not rivals and not options.alone:
        sys.exit(NO_CONTENDER)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=DELAYS_MS, default=[*DELAYS_MS])
    parser.add_argument("--profile", action="store_true", help="also where the gateway's processor time goes")
    parser.add_argument("--alone", action="store_true", help="the gateway without the contender; nothing is judged")
    return parser.parse_args()


def _round(case: str, bench: Bench) -> Figures:
    """One case, by each server in its turn; CPU in milliseconds per message."""
    subject, options = bench.gateway, bench.options
    configure(bench.peers, delay_ms=DELAYS_MS[case])
    asked = ("-c", str(options.users), "-m", str(options.messages), "--warmup", "2")
    figures: Figures = {"case": case}
    with _profiled(subject, wanted=options.profile):
        before = procstat.cpu_seconds(subject.database_pid)
        figures["gateway"] = _fine(load(subject.server, "chat", *asked))
        database_s = procstat.cpu_seconds(subject.database_pid) - before
    # The load generator's warm-up is in it, too.
    figures["postgresql_cpu_ms_per_message"] = round(database_s * 1000 / (options.users * (options.messages + 2)), 2)
    for rival in bench.rivals:
        figures[rival.name] = _fine(load(rival, "chat", *asked))
    print(json.dumps(figures), flush=True)
    return figures


def _fine(figures: Figures) -> Figures:
    """The figures that are told of a server; each of its messages must have been answered."""
    if figures["errors"]:
        raise RuntimeError(f"{figures['errors']} errors: {figures['error_samples']}")
    told = ("messages", "cpu_ms_per_msg", "msgs_per_s", "ttft_p50", "ttft_p99", "lat_p50", "server_rss_mb")
    return {name: figures[name] for name in told}


@contextmanager
def _profiled(subject: Gateway, *, wanted: bool) -> Iterator[None]:
    """Print the functions that took most of the gateway's processor time meanwhile."""
    if not wanted:
        yield
        return
    subject.toggle_profile()
    yield
    subject.toggle_profile()
    profile = profile_of(subject)
    subject.profile.unlink()
    for order in ("own", "total"):
        print(f"{order} time, of {profile['samples']} samples:")
        # What is under nearly every sample is the way from `main` to the event loop.
        found = [item for item in profile[order].items() if item[1] < MAIN_SHARE * profile["samples"]]
        most = sorted(found, key=lambda item: -item[1])
        for name, count in most[:TOP]:
            print(f"  {100 * count / profile['samples']:5.1f} %  {name}")


def _first_tokens(bench: Bench) -> Figures:
    """The median time to the first token of each server at rest."""
    subject, found = bench.gateway, bench.peers
    configure(found, delay_ms=0)
    token = subject.tokens.read_text().split()[0]
    turns = asyncio.run(watch(subject.server, found, token=token, turns=LOW_LOAD_TURNS))
    figures: Figures = {
        "case": "first token at low load, p50 ms",
        "gateway": p50_ms([turn.first_token_s for turn in turns]),
        "stages": stages_ms(turns),
    }
    for rival in bench.rivals:
        token = make_jwt(CONTENDER_SECRET, {"sub": "bench"})
        turns = asyncio.run(watch(rival, found, token=token, turns=LOW_LOAD_TURNS))
        figures[rival.name] = p50_ms([turn.first_token_s for turn in turns])
    print(json.dumps(figures), flush=True)
    return figures


def _verdicts(rounds: list[Figures], first: Figures) -> list[Verdict]:
    verdicts = []
    for case, rival in RIVALS.items():
        of_case = [each for each in rounds if each["case"] == case]
        if of_case:
            mine = statistics.median(each["gateway"]["cpu_ms_per_msg"] for each in of_case)
            aim = statistics.median(each[rival]["cpu_ms_per_msg"] for each in of_case)
            bound = GENEROUS * max(aim, SET_AT_MS[case])
            verdicts.append(Verdict(f"CPU per message, {case}, against the {rival}", mine, aim, bound))
    aim = first[RIVALS["burst"]] + FIRST_TOKEN_OVER_MS
    return [*verdicts, Verdict("First token at low load, p50", first["gateway"], aim, GENEROUS * aim)]


def configure(found: Peers, *, delay_ms: int) -> None:
    """Tell the stub model how far apart its tokens are to come."""
    url = found.model_url.removesuffix("/v1") + "/config"
    request = urllib.request.Request(url, data=json.dumps({"delay_ms": delay_ms}).encode())  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.status == 200


if __name__ == "__main__":
    main()
