"""Tickets for sockets: one use, 30 s, one origin. Source: DESIGN section 3."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import WsTicket
from accounts.tickets import TicketInvalid, issue_ticket, redeem_ticket
from accounts.tokens import Identity
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool")]
ORIGIN = "http://localhost:3000"
IDENTITY = Identity("demo-pro", datetime.now(UTC) + timedelta(hours=1))


async def test_a_ticket_is_good_for_one_of_twenty_who_use_it_at_once() -> None:
    ticket = await issue_ticket(IDENTITY, origin=ORIGIN)

    results = await asyncio.gather(*(redeem_ticket(ticket, origin=ORIGIN) for _ in range(20)), return_exceptions=True)

    assert [result for result in results if isinstance(result, Identity)] == [IDENTITY]
    assert sum(isinstance(result, TicketInvalid) for result in results) == 19


async def test_a_ticket_of_another_page_is_refused_and_used_up() -> None:
    ticket = await issue_ticket(IDENTITY, origin=ORIGIN)

    for origin in ("https://evil.example", ORIGIN):
        with pytest.raises(TicketInvalid):
            await redeem_ticket(ticket, origin=origin)


async def test_a_ticket_expires() -> None:
    ticket = await issue_ticket(IDENTITY, origin=ORIGIN)
    async with connection() as conn:
        await conn.execute("UPDATE ws_tickets SET expires_at = clock_timestamp()")

    with pytest.raises(TicketInvalid):
        await redeem_ticket(ticket, origin=ORIGIN)


async def test_a_ticket_outlives_no_identity() -> None:
    ticket = await issue_ticket(Identity("demo-pro", datetime.now(UTC)), origin=ORIGIN)

    with pytest.raises(TicketInvalid):
        await redeem_ticket(ticket, origin=ORIGIN)


async def test_expired_tickets_are_removed_when_a_new_one_is_made() -> None:
    await issue_ticket(IDENTITY, origin=ORIGIN)
    async with connection() as conn:
        await conn.execute("UPDATE ws_tickets SET expires_at = clock_timestamp()")

    await asyncio.gather(*(issue_ticket(IDENTITY, origin=ORIGIN) for _ in range(4)))

    assert await WsTicket.objects.acount() == 4


@pytest.mark.parametrize("ticket", ["", "unknown", "\ud800", "x" * 10_000])
async def test_what_is_no_ticket_is_refused(ticket: str) -> None:
    with pytest.raises(TicketInvalid):
        await redeem_ticket(ticket, origin=ORIGIN)


async def test_a_ticket_is_not_kept_in_plain_text() -> None:
    ticket = await issue_ticket(IDENTITY, origin=ORIGIN)

    assert [row.digest async for row in WsTicket.objects.all()] != [ticket]
