"""Flights: one piece of work for all who wait, and nobody's trouble is another's."""

import asyncio

import pytest

from provisioning.backends import Instance
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.flights import Flight, Flights
from provisioning.stages import StageReport, report_of

READY = Instance(url="http://127.0.0.1:1/mcp")


class Work:
    """Work that goes on when it is told to."""

    def __init__(self) -> None:
        self.done = 0
        self.go = asyncio.Event()

    async def __call__(self, flight: Flight) -> Instance:
        flight.publish(report_of("queued"))
        flight.publish(report_of("starting"))
        await self.go.wait()
        self.done += 1
        return READY


class Stages:
    """A waiter's notes of the stages it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, report: StageReport) -> None:
        self.told.append(report.stage)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_everyone_gets_the_one_result_and_the_stages() -> None:
    flights, work, early, late = Flights(), Work(), Stages(), Stages()
    first = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(early))
    await settle()
    second = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(late))
    await settle()
    work.go.set()

    assert (await first, await second) == (READY, READY)
    assert work.done == 1
    assert (early.told, late.told) == (["queued", "starting"], ["starting"])


async def test_a_waiter_that_leaves_stops_nothing() -> None:
    flights, work = Flights(), Work()
    leaving = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(None))
    staying = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(None))
    await settle()
    leaving.cancel()
    work.go.set()

    assert await staying == READY
    assert leaving.cancelled()


async def test_a_waiter_whose_callback_fails_fails_alone() -> None:
    async def broken(_: StageReport) -> None:
        raise ConnectionResetError

    flights, work = Flights(), Work()
    unlucky = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(broken))
    other = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(None))
    await settle()
    work.go.set()

    assert await other == READY
    with pytest.raises(ConnectionResetError):
        await unlucky


async def test_a_failure_reaches_everyone_and_the_next_try_is_a_new_one() -> None:
    async def fail(_: Flight) -> Instance:
        raise WorkspaceFailed(Cause.EXITED)

    flights, work = Flights(), Work()
    waiters = [flights.join("ws", fresh=False, work=fail).follow(None) for _ in range(3)]
    results = await asyncio.gather(*waiters, return_exceptions=True)
    work.go.set()

    assert [result.cause for result in results if isinstance(result, WorkspaceFailed)] == [Cause.EXITED] * 3
    assert await flights.join("ws", fresh=False, work=work).follow(None) == READY


async def test_a_cancelled_flight_is_a_failure_and_no_cancellation_for_those_who_wait() -> None:
    flights, work = Flights(), Work()
    waiter = asyncio.create_task(flights.join("ws", fresh=False, work=work).follow(None))
    await settle()
    await flights.cancel(cause=Cause.SHUTTING_DOWN)

    with pytest.raises(WorkspaceFailed) as failure:
        await waiter
    assert failure.value.cause == Cause.SHUTTING_DOWN


async def test_a_flight_that_is_cancelled_twice_tidies_up_undisturbed() -> None:
    tidied = False

    async def work(_: Flight) -> Instance:
        nonlocal tidied
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            tidied = True
        return READY

    flights = Flights()
    flights.join("ws", fresh=False, work=work)
    await settle()
    await asyncio.gather(flights.cancel(cause=Cause.STOPPED), flights.cancel(cause=Cause.STOPPED))

    assert tidied


async def test_a_process_that_ends_begins_nothing() -> None:
    flights = Flights(closing=True)

    with pytest.raises(WorkspaceFailed) as failure:
        flights.join("ws", fresh=False, work=Work())
    assert failure.value.cause == Cause.SHUTTING_DOWN


async def test_a_fresh_flight_waits_for_the_one_under_way() -> None:
    flights, usual, fresh = Flights(), Work(), Work()
    fresh.go.set()
    first = asyncio.create_task(flights.join("ws", fresh=False, work=usual).follow(None))
    await settle()
    second = asyncio.create_task(flights.join("ws", fresh=True, work=fresh).follow(None))
    await settle()
    done_before = fresh.done
    usual.go.set()
    await asyncio.gather(first, second)

    assert (done_before, fresh.done) == (0, 1)
