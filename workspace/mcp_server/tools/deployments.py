"""Tools over paper deployments: deploy, list, stop."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from mcp_server.deployments.desk import Desk, Request
from mcp_server.deployments.store import Deployment, Order, State
from mcp_server.market.times import BY_NAME, DAY, show_date, show_moment
from mcp_server.strategies.contract import Plain
from mcp_server.tools.arguments import Fee, Params, Slippage, StrategyWanted, Symbols
from mcp_server.tools.market import Interval
from mcp_server.tools.offer import ADDS_OUTSIDE, READS, REPLACES, Offer
from mcp_server.trading import FEE_BPS, SLIPPAGE_BPS, START_EQUITY

# With their orders, half of what a client commonly passes on to a model.
MOST_LISTED = 30
SHOWN_ORDERS = 5
# Of paper money; shares of a cent have no meaning.
SHOWN_DIGITS = 6

PAPER = (
    "Paper only: no real order is ever placed. It trades at the open after each bar that changes its weight, and is "
    "stepped while the workspace runs; bars that came in between are made up for at the next start."
)


class PositionReply(BaseModel):
    """What is held of a symbol; `target` is the share of the account that was decided last, -1 to 1."""

    symbol: str
    units: float
    price: float
    value: float
    target: float


class OrderReply(BaseModel):
    """A paper order, decided on the close of a bar; figures are null until it is filled at the next bar's open."""

    symbol: str
    state: str
    target: float
    decided: str
    filled: str | None
    units: float | None
    price: float | None
    fee: float | None


class DeploymentReply(BaseModel):
    """A deployment as it stands after `last_bar`. Money is in the instruments' currency."""

    id: str
    strategy: str
    version: int
    digest: str
    symbols: list[str]
    params: dict[str, Plain]
    fee_bps: float
    slippage_bps: float
    keep_running: bool
    state: State
    since: str
    ended_at: str | None
    last_bar: str
    cash: float
    equity: float
    return_percent: float
    positions: list[PositionReply]
    orders: list[OrderReply]
    last_error: str | None


class DeployedReply(DeploymentReply):
    """The deployment, and in `note` what it means."""

    note: str


class DeploymentsReply(BaseModel):
    """The running deployments first, then those that ended, each the newest first; `total` counts all."""

    deployments: list[DeploymentReply]
    total: int
    note: str


class DeploymentTools:
    """Paper deployments for the gateway and for a model."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def offers(self) -> list[Offer]:
        return [
            Offer(self.deploy_strategy, "Deploy a strategy on paper", ADDS_OUTSIDE, heavy=True),
            Offer(self.list_deployments, "List paper deployments", READS),
            Offer(self.stop_deployment, "Stop a paper deployment", REPLACES),
        ]

    def deploy_strategy(  # noqa: PLR0913 - the arguments of the tool
        self,
        strategy: StrategyWanted,
        symbol: Symbols,
        idempotency_key: Annotated[
            str,
            Field(
                min_length=1,
                max_length=200,
                description="Chosen by the caller, e.g. a UUID: one key is one deployment, however often it is called.",
            ),
        ],
        *,
        params: Params = None,
        interval: Interval = None,
        fee_bps: Fee = FEE_BPS,
        slippage_bps: Slippage = SLIPPAGE_BPS,
        keep_running: Annotated[
            bool,
            Field(
                description="True = the user wants the workspace kept awake for it, so that each bar is traded in time."
            ),
        ] = False,
    ) -> DeployedReply:
        """Deploy a strategy on paper: from now on it trades each new bar of the symbol with 100,000 of paper money.

        No real order is ever placed. The version of the strategy is pinned; saving another one changes nothing here. A
        weight decided on a bar's close is traded at the next bar's open. Repeating the call with the same
        idempotency_key gives the same deployment; with other arguments it is an error. A strategy that looks ahead or
        fails over the bars that there are is refused. Ask the user first.
        """
        request = Request(
            strategy=strategy,
            symbol=symbol,
            interval=interval,
            params=params or {},
            fee_bps=fee_bps,
            slippage_bps=slippage_bps,
            keep_running=keep_running,
        )
        return self._deployed(self._desk.deploy(request, key=idempotency_key))

    def list_deployments(self) -> DeploymentsReply:
        """List paper deployments with state, position, equity, the last five orders and the last error; at most 30."""
        store = self._desk.store
        found = [self._describe(each) for each in store.newest(MOST_LISTED)]
        return DeploymentsReply(deployments=found, total=store.count(), note=PAPER)

    def stop_deployment(
        self,
        id: Annotated[  # noqa: A002 - the tool's argument is called id
            str, Field(min_length=1, max_length=64, description="Id of the deployment, e.g. 'dep-9f2c41d07ab3'.")
        ],
    ) -> DeployedReply:
        """Stop a paper deployment for good: it is not stepped any more and its open orders are cancelled.

        Its account stays on record as it was after its last bar. One that has ended already stays as it is.
        """
        return self._deployed(self._desk.store.stop(id))

    def _deployed(self, deployment: Deployment) -> DeployedReply:
        return DeployedReply(**self._describe(deployment).model_dump(), note=PAPER)

    def _describe(self, deployment: Deployment) -> DeploymentReply:
        terms, account = deployment.terms, deployment.account
        orders = self._desk.store.orders(deployment.id, limit=SHOWN_ORDERS)
        return DeploymentReply(
            id=deployment.id,
            strategy=terms.strategy,
            version=terms.version,
            digest=terms.digest,
            symbols=list(terms.symbols),
            params=dict(terms.params),
            fee_bps=terms.fee_bps,
            slippage_bps=terms.slippage_bps,
            keep_running=terms.keep_running,
            state=deployment.state,
            since=deployment.since,
            ended_at=deployment.ended_at,
            last_bar=show_bar(deployment.last_bar, terms.interval),
            cash=_money(account.cash),
            equity=account.equity,
            return_percent=(account.equity / START_EQUITY - 1) * 100,
            positions=_positions(deployment),
            orders=[_order_reply(order, terms.interval) for order in orders],
            last_error=deployment.last_error,
        )


def _money(amount: float) -> float:
    """Without what is left of sums that should be 0; + 0.0 makes 0 of -0."""
    return round(amount, SHOWN_DIGITS) + 0.0


def show_bar(moment: int, interval: str) -> str:
    """When a bar begins, as people read it."""
    return show_date(moment) if BY_NAME[interval].length >= DAY else show_moment(moment)


def _positions(deployment: Deployment) -> list[PositionReply]:
    account = deployment.account
    return [
        PositionReply(
            symbol=symbol,
            units=account.units[symbol],
            price=account.closes[symbol],
            value=account.units[symbol] * account.closes[symbol],
            target=account.decided[symbol],
        )
        for symbol in deployment.terms.symbols
    ]


def _order_reply(order: Order, interval: str) -> OrderReply:
    return OrderReply(
        symbol=order.symbol,
        state=order.state,
        target=order.target,
        decided=show_bar(order.decided_bar, interval),
        filled=None if order.filled_bar is None else show_bar(order.filled_bar, interval),
        units=order.units,
        price=order.price,
        fee=order.fee,
    )
