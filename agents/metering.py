"""Each model call of a turn passes here: allowed by the licence of that moment, its budget set aside, then booked.

A call is a *step*. Before it the licence is read again, unless it has just been, and one statement sets the estimate aside while
the turn is still this claim's. After it, one statement books what it really took and gives the rest back; the reservation, which
carries the claim's fence, makes that once. The last step of an attempt, also one that fails or is cancelled, is booked by the
transaction that ends the attempt, with what was heard of it. One whose worker died is released by the worker that takes the turn
over.
"""

import time
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import LiteralString

from accounts import budgets, usage
from accounts.budgets import Estimate, Spent, StepKey
from accounts.errors import BudgetExhausted, NotIncluded
from accounts.features import require_channel, require_turns
from accounts.licences import Licence, NotLicensed, active_licence_on
from agents.catalogue import Model
from agents.errors import AgentFailed, FenceLost
from agents.events import Usage
from agents.insisting import insist
from agents.queue import Claim
from gateway.db import Connection, connection

# Whether a turn is still the claim's; nobody takes it over before the statement's transaction ends.
_HELD: LiteralString = "SELECT 1 FROM turns WHERE id = %(turn)s AND fence = %(fence)s AND state = 'running' FOR SHARE"
# A licence that was read so many seconds ago is that of this moment.
FRESH_S = 1.0
# As vendors count English text; an answer whose tokens no vendor tells is booked by it.
CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class _Step:
    """A step that is set aside and not yet booked; `usage` is the vendor's figure, once it is known."""

    key: StepKey
    model: Model
    prompt_tokens: int
    heard: int = 0
    tool_calls: int = 0
    usage: Usage | None = None

    def spent(self, channel: str) -> Spent:
        used = self.usage or self._seen()
        return Spent(
            model=self.model.spec,
            channel=channel,
            input_tokens=used.input_tokens,
            cached_tokens=used.cached_tokens,
            output_tokens=used.output_tokens,
            cost_usd=_cost(self.model, used),
            tool_calls=self.tool_calls,
        )

    def _seen(self) -> Usage:
        return Usage(self.prompt_tokens, 0, -(-self.heard // CHARACTERS_PER_TOKEN))


class StepMeter:
    """The meter of one attempt at a turn; see harness_types.Meter. `model` is the last that was asked, "" for none."""

    def __init__(self, claim: Claim) -> None:
        self.model = ""
        self._claim = claim
        self._steps = 0
        self._open: _Step | None = None
        # Whether something may be set aside; a step that is stopped between setting aside and knowing it is not open yet.
        self._aside = False
        self._read: tuple[Licence, float] | None = None
        self._called = 0

    def was_read(self, licence: Licence) -> None:
        """The user's licence, just read: the next step need not read it again, if it begins at once."""
        self._read = licence, time.monotonic()

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        """See Meter. Raises FenceLost when another worker has taken the turn over.

        A call that was not booked is booked first: another model goes on where it broke off.
        """
        if self._open is not None:
            await insist(self._book)
        self._steps += 1
        self.model = model.spec
        key = StepKey(self._claim.turn, self._claim.fence, self._steps)
        self._aside = True
        await insist(partial(self._reserve, key, model, _estimate(model, prompt_tokens)))
        self._open = _Step(key, model, prompt_tokens)

    def heard(self, text: str) -> None:
        """See Meter."""
        if self._open is not None:
            self._open.heard += len(text)

    def took(self, usage: Usage) -> None:
        """See Meter."""
        if self._open is not None:
            self._open.usage = usage

    def called(self) -> None:
        """See Meter."""
        self._called += 1

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        """See Meter."""
        if self._open is None:
            return
        self._open.tool_calls = tool_calls
        self._open.usage = usage if usage.input_tokens or usage.output_tokens else None
        if tool_calls:
            await insist(self._book)

    async def close(self, conn: Connection) -> None:
        """Book a step that did not end well, and a workflow's calls, in the transaction that ends the attempt."""
        await self._settle(conn)
        if self._called:
            claim, calls = self._claim, self._called
            await usage.add_tool_calls(conn, calls, user_id=claim.user_id, model=self.model, channel=claim.channel)

    async def _settle(self, conn: Connection) -> None:
        if self._open is not None:
            await budgets.settle(conn, self._open.key, self._open.spent(self._claim.channel))

    async def close_turn(self, conn: Connection) -> None:
        """The same, and give back what the turn has set aside for a step that never began: it waits for its user."""
        await self.close(conn)
        if self._aside and self._open is None:
            await budgets.release(conn, self._claim.turn)

    async def end_turn(self, conn: Connection, *, failed: bool, first: bool) -> None:
        """As `close_turn`, and count a turn that ends for the `first` time: staff may have a dead one tried again."""
        await self.close_turn(conn)
        if first:
            claim = self._claim
            await usage.add_turn(conn, user_id=claim.user_id, model=self.model, channel=claim.channel, failed=failed)

    async def _reserve(self, key: StepKey, model: Model, estimate: Estimate) -> None:
        async with connection() as conn:
            try:
                licence = await self._licence(conn)
                _require(licence, self._claim.channel, model)
                await budgets.reserve(conn, licence, key, estimate=estimate, holding=_HELD)
            except (NotLicensed, NotIncluded, BudgetExhausted) as error:
                await _require_held(conn, self._claim)
                raise AgentFailed(error.code, str(error)) from error

    async def _licence(self, conn: Connection) -> Licence:
        read, self._read = self._read, None
        if read is not None and time.monotonic() - read[1] < FRESH_S:
            return read[0]
        return await active_licence_on(conn, self._claim.user_id)

    async def _book(self) -> None:
        async with connection() as conn:
            await self._settle(conn)
        self._open, self._aside = None, False


async def _require_held(conn: Connection, claim: Claim) -> None:
    """Raise FenceLost unless the turn is still this claim's."""
    cursor = await conn.execute(_HELD, {"turn": claim.turn, "fence": claim.fence})
    if await cursor.fetchone() is None:
        raise FenceLost


def _require(licence: Licence, channel: str, model: Model) -> None:
    """Raise NotIncluded, or AgentFailed for a model, unless the licence still allows what the turn began with."""
    require_channel(licence, channel)
    require_turns(licence)
    if not model.licensed(licence.features.models):
        raise AgentFailed("model_not_available", f"The model {model.spec} is no longer included in your licence.")


def _estimate(model: Model, prompt_tokens: int) -> Estimate:
    # The vendor is told to stop there.
    longest = model.longest_answer
    return Estimate(prompt_tokens + longest, _cost(model, Usage(prompt_tokens, 0, longest)))


def _cost(model: Model, used: Usage) -> Decimal | None:
    cost = model.cost_usd(used)
    return None if cost is None else Decimal(str(cost))
