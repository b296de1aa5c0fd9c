"""Which models and providers are not asked for a while, because they failed.

A circuit opens with a failure: for a minute, the next time for five, then for 25; without credit for five hours; never for
less than the server asks. Failures while it is open do not count: they come from calls that were under way. It closes with
an answer. An open one is a matter of order: with nothing else to ask, it is asked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agents.catalogue import Model

COOL_DOWNS_S = (60.0, 300.0, 1500.0)
BILLING_S = 5 * 3600.0
# A circuit that has been quiet for so long since it might be asked again begins anew.
FORGET_S = 3600.0

# Who is to blame: this model, everything of its provider, or this request alone.
Blame = Literal["model", "provider", "request"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """How far a failure reaches, and for how long.

    `wait_s` is the server's own wish, in seconds; `billing` = the account has no credit, which lasts.
    """

    blame: Blame = "model"
    wait_s: float | None = None
    billing: bool = False


class Circuits(Protocol):
    """What a run asks and tells. Targets are `provider/name` of a model, and names of providers."""

    async def open_targets(self) -> frozenset[str]:
        """What should not be asked now."""

    async def failed(self, model: Model, trouble: Trouble) -> None:
        """A call of the model failed."""

    async def answered(self, model: Model) -> None:
        """A call of the model went well."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One target's state; `until` on the keeper's clock, in seconds."""

    failures: int
    until: float


@dataclass(slots=True)
class MemoryCircuits:
    """Circuits of one process, for runs that share with nobody."""

    clock: Callable[[], float] = time.monotonic
    _circuits: dict[str, Circuit] = field(default_factory=dict)

    async def open_targets(self) -> frozenset[str]:
        """See Circuits."""
        return open_at(self._circuits, self.clock())

    async def failed(self, model: Model, trouble: Trouble) -> None:
        """See Circuits."""
        target = target_of(model, trouble)
        if target is not None:
            self._circuits[target] = opened(self._circuits.get(target), trouble, now=self.clock())

    async def answered(self, model: Model) -> None:
        """See Circuits."""
        for target in targets(model):
            self._circuits.pop(target, None)


def open_at(circuits: Mapping[str, Circuit], now: float) -> frozenset[str]:
    """The targets whose circuit is open."""
    return frozenset(target for target, circuit in circuits.items() if circuit.until > now)


def opened(before: Circuit | None, trouble: Trouble, *, now: float) -> Circuit:
    """The circuit after a failure."""
    asked = BILLING_S if trouble.billing else trouble.wait_s or 0.0
    if before is not None and before.until > now:
        return Circuit(before.failures, max(before.until, now + asked))
    known = before is not None and before.until > now - FORGET_S
    failures = min((before.failures if before and known else 0) + 1, len(COOL_DOWNS_S))
    return Circuit(failures, now + max(COOL_DOWNS_S[failures - 1], asked))


def targets(model: Model) -> tuple[str, str]:
    """What an answer of the model speaks for."""
    return model.spec, model.provider


def target_of(model: Model, trouble: Trouble) -> str | None:
    """What a failure speaks for; None when for this request alone."""
    return {"model": model.spec, "provider": model.provider, "request": None}[trouble.blame]


def is_open(model: Model, shut: frozenset[str]) -> bool:
    """Whether the model should not be asked now."""
    return not shut.isdisjoint(targets(model))
