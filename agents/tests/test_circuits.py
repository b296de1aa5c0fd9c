"""Which models are not asked for a while. Source: DESIGN.md, Agent: failures fall back, with cool-downs of 1/5/25
minutes, five hours for billing, shared between processes."""

from typing import Protocol

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from agents.catalogue import Model
from agents.circuit_table import SharedCircuits
from agents.circuits import BILLING_S, COOL_DOWNS_S, Circuit, Circuits, MemoryCircuits, Trouble, opened
from gateway.db import connection

LARGE = Model(provider="anthropic", name="large", size="large")
SMALL = Model(provider="anthropic", name="small", size="small")
LONG_AGO_S = 24 * 3600.0


class Kept(Protocol):
    """Circuits whose time the test moves."""

    circuits: Circuits

    async def let_pass(self, seconds: float) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.now = 1000.0
        self.circuits: Circuits = MemoryCircuits(clock=lambda: self.now)

    async def let_pass(self, seconds: float) -> None:
        self.now += seconds


class InTable:
    def __init__(self) -> None:
        self.circuits: Circuits = SharedCircuits()

    async def let_pass(self, seconds: float) -> None:
        async with connection() as conn:
            await conn.execute(
                "UPDATE model_circuits SET open_until = open_until - %s * interval '1 second'", (seconds,)
            )
        self.circuits = SharedCircuits()


@pytest.fixture(params=["memory", "table"])
def kept(request: pytest.FixtureRequest, transactional_db: None, pool: None) -> Kept:
    return InMemory() if request.param == "memory" else InTable()


async def test_cool_downs_grow_with_failures_in_a_row(kept: Kept) -> None:
    for cool_down in (*COOL_DOWNS_S, COOL_DOWNS_S[-1]):
        await kept.circuits.failed(LARGE, Trouble())
        await kept.let_pass(cool_down - 10)
        assert await kept.circuits.open_targets() == {"anthropic/large"}
        await kept.let_pass(20)
        assert await kept.circuits.open_targets() == frozenset()


async def test_failures_of_calls_that_were_under_way_count_once(kept: Kept) -> None:
    for _ in range(5):
        await kept.circuits.failed(LARGE, Trouble())
    await kept.let_pass(COOL_DOWNS_S[0] + 10)

    assert await kept.circuits.open_targets() == frozenset()


async def test_an_answer_closes_the_circuit_and_the_next_failure_is_the_first(kept: Kept) -> None:
    await kept.circuits.failed(LARGE, Trouble())
    await kept.let_pass(COOL_DOWNS_S[0] + 1)
    await kept.circuits.open_targets()
    await kept.circuits.answered(LARGE)
    await kept.circuits.failed(LARGE, Trouble())
    await kept.let_pass(COOL_DOWNS_S[0] + 1)

    assert await kept.circuits.open_targets() == frozenset()


async def test_a_failure_after_a_quiet_time_is_the_first(kept: Kept) -> None:
    await kept.circuits.failed(LARGE, Trouble())
    await kept.let_pass(LONG_AGO_S)
    await kept.circuits.failed(LARGE, Trouble())
    await kept.let_pass(COOL_DOWNS_S[0] + 10)

    assert await kept.circuits.open_targets() == frozenset()


async def test_an_account_without_credit_is_left_alone_for_five_hours(kept: Kept) -> None:
    await kept.circuits.failed(LARGE, Trouble("provider", billing=True))
    await kept.let_pass(BILLING_S - 10)

    assert await kept.circuits.open_targets() == {"anthropic"}


async def test_what_the_server_asks_is_waited_for(kept: Kept) -> None:
    """Also when it is asked while the circuit is open."""
    await kept.circuits.failed(LARGE, Trouble())
    await kept.circuits.failed(LARGE, Trouble(wait_s=600))
    await kept.let_pass(590)

    assert await kept.circuits.open_targets() == {"anthropic/large"}


async def test_a_failure_of_the_request_alone_opens_nothing(kept: Kept) -> None:
    await kept.circuits.failed(LARGE, Trouble("request"))

    assert await kept.circuits.open_targets() == frozenset()


async def test_a_models_answer_also_speaks_for_its_provider(kept: Kept) -> None:
    await kept.circuits.failed(LARGE, Trouble("provider"))
    await kept.circuits.open_targets()
    await kept.circuits.answered(SMALL)

    assert await kept.circuits.open_targets() == frozenset()


async def test_another_process_sees_what_failed_here(transactional_db: None, pool: None) -> None:
    here, there = SharedCircuits(), SharedCircuits()
    await here.failed(LARGE, Trouble())

    assert await there.open_targets() == {"anthropic/large"}


async def test_looking_twice_asks_the_database_once(transactional_db: None, pool: None) -> None:
    """Source: the brief of the cache: never a query for each turn, let alone each token."""
    circuits = SharedCircuits()
    assert await circuits.open_targets() == frozenset()
    await SharedCircuits().failed(LARGE, Trouble())

    assert await circuits.open_targets() == frozenset()


async def test_with_the_database_away_nothing_is_known_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    circuits = SharedCircuits()
    await circuits.failed(LARGE, Trouble())
    await circuits.answered(LARGE)

    assert await circuits.open_targets() == frozenset()


@given(st.lists(st.tuples(st.floats(0, 10_000), st.none() | st.floats(0, 3600), st.booleans()), max_size=20))
def test_a_circuit_never_opens_for_less_than_it_should(steps: list[tuple[float, float | None, bool]]) -> None:
    now = 0.0
    circuit: Circuit | None = None
    for pause, wait_s, billing in steps:
        now += pause
        before = circuit
        circuit = opened(circuit, Trouble(wait_s=wait_s, billing=billing), now=now)
        assert circuit.until >= now + (BILLING_S if billing else wait_s or 0)
        assert before is None or circuit.until >= before.until or before.until <= now
        assert 1 <= circuit.failures <= len(COOL_DOWNS_S)
        assert isinstance(circuit, Circuit)
