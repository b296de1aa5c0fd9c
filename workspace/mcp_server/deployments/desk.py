"""Deploy strategies on paper and step them over new bars."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from mcp_server.deployments import ledger
from mcp_server.deployments.feed import Feed
from mcp_server.deployments.history import check_history
from mcp_server.deployments.ledger import Account
from mcp_server.deployments.store import Deployment, Deployments, Terms
from mcp_server.errors import BadSymbols, NoBars, SandboxFailed, SandboxUnavailable, WorkspaceError
from mcp_server.market.aligning import aligned
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.strategies.choice import chosen_symbols
from mcp_server.strategies.contract import Plain, read_contract, resolve_params
from mcp_server.strategies.lookahead import checked_weights
from mcp_server.strategies.signals import Runner, Signals, weights_of
from mcp_server.strategies.store import Strategies
from mcp_server.strategies.versions import StrategyVersion


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be deployed, as it was asked for: `strategy` is a name or `name@3`, `symbol` may be several with commas."""

    strategy: str
    symbol: str
    interval: str | None
    params: Mapping[str, Plain]
    fee_bps: float
    slippage_bps: float
    keep_running: bool

    def text(self) -> str:
        """The same text for the same wish."""
        wish = asdict(self) | {"strategy": self.strategy.lower(), "symbol": self.symbol.strip().casefold()}
        return json.dumps(wish, sort_keys=True, separators=(",", ":"))


class Desk:
    """Where paper deployments are made and stepped. Its methods may be called from several threads at once."""

    def __init__(self, store: Deployments, *, strategies: Strategies, catalogue: Catalogue, sandbox: Runner) -> None:
        self.store = store
        self._strategies = strategies
        self._catalogue = catalogue
        self._sandbox = sandbox
        self._deploying = threading.Lock()

    def deploy(self, request: Request, *, key: str) -> Deployment:
        """Deploy once for each key, after a run over all bars that also looks for a look into the future.

        Raises DeploymentConflict for a key that has deployed something else, TooManyDeployments, UnknownStrategy,
        UnknownSymbol, BadSymbols, BadStrategyParams, SandboxFailed.
        """
        text = request.text()
        known = self.store.with_key(key, request=text)
        if known is not None:
            return known
        # One at a time: of many calls with one key, the first runs the strategy and the others find what it made.
        with self._deploying:
            return self.store.with_key(key, request=text) or self._deploy(request, key=key)

    def _deploy(self, request: Request, *, key: str) -> Deployment:
        self.store.expect_room()
        version = self._strategies.find(request.strategy)
        terms = self._terms(request, version)
        start = self._start(terms, version)
        return self.store.add(terms, source=version.source, key=key, request=request.text(), start=start)

    def step_all(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Step every running deployment over the bars that are new to it; False when one is to be tried again.

        Raises Cancelled when `stopping` says so in the middle of a run.
        """
        well = True
        for deployment in self.store.running():
            if stopping():
                break
            try:
                self.step(deployment, stopping)
            except WorkspaceError as error:
                well = False
                to_blame = isinstance(error, SandboxFailed) and not isinstance(error, SandboxUnavailable)
                self.store.note_error(deployment.id, f"{type(error).__name__}: {error}", counts=to_blame)
        return well

    def step(self, deployment: Deployment, stopping: Callable[[], bool] = lambda: False) -> int:
        """Step a deployment over each bar after its last one; gives how many. Raises WorkspaceError.

        Each bar is one transaction, so whatever ends this in the middle, no bar is skipped and none is stepped twice.
        """
        bars = self._bars(deployment.terms)
        times = next(iter(bars.values())).times
        first = bisect_right(times, deployment.last_bar)
        check_history(deployment, times[:first], bars)
        if first == len(times):
            self.store.note_well(deployment)
            return 0
        run = partial(self._sandbox.run, cancelled=stopping)
        signals = Signals(deployment.source, bars, deployment.terms.params)
        # One run serves several bars only when no weight depends on later ones.
        many = len(times) - first > 1
        weights = checked_weights(signals, run=run) if many else weights_of(run(signals.job()), bars)
        feed = Feed(times, bars, weights)
        for index in range(first, len(times)):
            after = self._step_on(deployment, feed, index)
            if after is None:
                return index - first
            deployment = after
        return len(times) - first

    def _step_on(self, before: Deployment, feed: Feed, index: int) -> Deployment | None:
        """The deployment after one bar; None when it is not to be stepped on: stopped, stepped by another, or empty."""
        account, fills = ledger.step(
            before.account, feed.prices(index), weights=feed.decided(index), costs=before.terms.costs
        )
        bar = feed.times[index]
        if not self.store.record(before, bar=bar, account=account, fills=fills):
            return None
        if account.equity <= 0:
            self.store.fail(before.id, "AccountEmpty: the paper account is worth nothing any more.")
            return None
        return replace(before, last_bar=bar, account=account, tries=0, last_error=None)

    def _terms(self, request: Request, version: StrategyVersion) -> Terms:
        wanted = chosen_symbols(version, request.symbol)
        found = [self._catalogue.find(symbol, request.interval)[0] for symbol in wanted]
        intervals = {request.interval or instrument.interval for instrument in found}
        if len(intervals) > 1:
            raise BadSymbols(
                f"The symbols have bars of {' and '.join(sorted(intervals))}. Give the interval to trade on."
            )
        return Terms(
            strategy=version.name,
            version=version.version,
            digest=version.digest,
            symbols=tuple(dict.fromkeys(instrument.symbol for instrument in found)),
            interval=intervals.pop(),
            params=resolve_params(read_contract(version.source), request.params),
            fee_bps=request.fee_bps,
            slippage_bps=request.slippage_bps,
            keep_running=request.keep_running,
        )

    def _bars(self, terms: Terms) -> dict[str, Bars]:
        bars = aligned({symbol: self._ended_bars(symbol, terms.interval) for symbol in terms.symbols})
        if not all(bars.values()):
            raise NoBars(f"{' and '.join(terms.symbols)} have no bars at the same times.")
        return bars

    def _ended_bars(self, symbol: str, interval: str) -> Bars:
        """All bars but one that may go on: the last that is made of shorter ones, some of which may be still to come.

        None that is dated in the future, which an archive may hold: it would be the newest for ever.
        """
        instrument, bars = self._catalogue.find(symbol, interval)
        ended = bars if instrument.interval == interval else bars[: len(bars) - 1]
        return ended[: bisect_right(ended.times, time.time_ns())]

    def _start(self, terms: Terms, version: StrategyVersion) -> tuple[int, Account]:
        """The newest bar that there is, and an account that has decided on its close."""
        bars = self._bars(terms)
        signals = Signals(version.source, bars, terms.params)
        times = next(iter(bars.values())).times
        feed = Feed(times, bars, checked_weights(signals, run=self._sandbox.run))
        last = len(times) - 1
        return times[last], ledger.opened(feed.prices(last).closes, feed.decided(last))
