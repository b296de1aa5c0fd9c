"""What a workspace could not be given of a turn is kept until it can. Source: DESIGN section 2."""

from typing import Any

import pytest

from agents.tests.engine import ScriptedBrain, TestWorker, answer, let_retries_be_due, row, say, types
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def test_messages_that_could_not_be_stored_are_stored_later(brain: ScriptedBrain, worker: TestWorker) -> None:
    brain.storing = False
    accepted = await say("one")
    await answer(worker, "1")
    assert (await row(accepted.turn, "content", "answer")) == ("one", "1")

    brain.storing = True
    await let_retries_be_due()
    assert await worker.care()

    assert brain.stored[accepted.turn][-1]["content"] == "1"
    assert await row(accepted.turn, "content", "answer", "history") == ("", "", None)
    assert (await types(accepted.turn)).count("done") == 1
    assert not await worker.care()


async def test_the_next_turn_first_stores_what_an_earlier_one_left(brain: ScriptedBrain, worker: TestWorker) -> None:
    brain.storing = False
    first = await say("one")
    await answer(worker, "1")
    second = await say("two")

    brain.storing = True
    assert await worker.claim() == second.turn
    await worker.order(second.turn, "finish")
    await worker.done(second.turn)

    assert brain.stored_order == [first.turn, second.turn]
    assert await row(first.turn, "content", "answer", "history") == ("", "", None)


async def test_a_turn_waits_for_a_workspace_that_cannot_take_the_one_before(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    brain.storing = False
    await say("one")
    await answer(worker, "1")
    second = await say("two")

    assert await worker.claim() == second.turn
    await worker.done(second.turn)

    assert await row(second.turn, "state") == ("queued",)
    assert second.turn not in brain.started


async def test_a_workspace_that_keeps_nothing_holds_up_no_answer(brain: ScriptedBrain, worker: TestWorker) -> None:
    brain.refusing = True
    first = await say("one")
    await answer(worker, "1")
    second = await say("two")
    await answer(worker, "2")
    assert await row(second.turn, "state", "answer") == ("done", "2")

    brain.refusing = False
    await let_retries_be_due()
    assert await worker.care()
    assert await worker.care()

    assert brain.stored_order == [first.turn, second.turn]


async def test_what_a_workspace_refuses_for_a_day_is_offered_again_with_the_next_message_alone(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    brain.refusing = True
    first = await say("one")
    await answer(worker, "1")
    async with connection() as conn:
        await conn.execute("UPDATE turns SET finished_at = finished_at - interval '25 hours'")
    await let_retries_be_due()
    assert await worker.care()
    assert await row(first.turn, "run_after", "content") == (None, "one")

    await let_retries_be_due()
    assert not await worker.care()
    brain.refusing = False
    await say("two")
    await answer(worker, "2")

    assert await row(first.turn, "content", "history") == ("", None)


async def test_a_bug_in_the_workspaces_client_loses_no_text(brain: ScriptedBrain, worker: TestWorker) -> None:
    async def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    accepted = await say("one")
    worker.remember = broken
    await answer(worker, "1")

    assert await row(accepted.turn, "state", "content", "answer", "holder") == ("done", "one", "1", None)
