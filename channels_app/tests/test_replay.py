"""The end of a turn whose journal is no more. Source: DESIGN.md, sections 2 and 3."""

import pytest

from agents.journal import clear_memory
from agents.tests.engine import TestWorker, say, types
from channels_app.replay import read_ending
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("users", "pool")
async def test_an_end_that_is_still_to_be_told_is_read_by_nobody(worker: TestWorker) -> None:
    """Whoever tells it gives it another number: a client would show it twice."""
    turn = (await say("Hello")).turn
    await worker.claim()
    await worker.order(turn, "finish")
    await worker.done(turn)
    clear_memory()
    async with connection() as conn:
        await conn.execute("UPDATE turns SET holder = %s WHERE id = %s", (worker.id, turn))
    held = await read_ending(turn, user_id="demo-pro", after=0)
    await worker.lose_lease()
    other = await TestWorker(worker.brain).begin()
    while await other.care():
        pass

    assert held is None
    assert (await types(turn))[-1] == "done"
