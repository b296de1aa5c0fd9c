"""A turn that waits for its user: what it holds meanwhile, how it goes on, and all that may come between.

Source: DESIGN sections 2 and 6.
"""

import pytest

from agents.approvals import Decision, decide
from agents.journal import clear_memory
from agents.outbox import batch
from agents.tests.engine import ScriptedBrain, TestWorker, answer, frames, row, say, types
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def wait_for_yes(worker: TestWorker, *texts: str, order: str = "ask yes", ttl_s: str = "") -> str:
    """Have the next turn say something and wait; the id of what it waits for."""
    turn = await worker.claim()
    assert turn is not None
    for text in texts:
        await worker.order(turn, "say", text)
    await worker.order(turn, order, ttl_s)
    await worker.done(turn)
    return str((await row(turn, "wait_id"))[0])


def approve(approval: str, *, comment: str = "") -> Decision:
    return Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web", comment=comment)


async def test_an_approved_turn_goes_on_where_it_was_with_what_it_had_said(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, "The risk is low.")
    assert await row(accepted.turn, "state", "holder", "attempts") == ("awaiting_approval", None, 0)

    assert await decide(approve(approval, comment="go")) == "approved"
    await answer(worker, "Deployed.")

    [resumed] = brain.resumed[accepted.turn]
    assert (resumed.kind, resumed.id, resumed.decision, resumed.comment) == ("approval", approval, "approved", "go")
    assert (resumed.state, resumed.written, resumed.by_channel) == (
        {"said": "The risk is low."},
        "The risk is low.",
        "web",
    )
    found = await frames(accepted.turn)
    assert found[-1]["content"] == "The risk is low.\n\nDeployed."
    assert found[-1]["usage"]["input_tokens"] == 11
    kinds = [frame["type"] for frame in found]
    assert kinds.count("approval") == kinds.count("approval_settled") == 1
    assert kinds.index("approval") < kinds.index("approval_settled")
    [asked] = [frame for frame in found if frame["type"] == "approval"]
    assert asked["digest"] == resumed.digest
    assert [frame["seq"] for frame in found] == list(range(1, len(found) + 1))


async def test_a_waiting_turn_holds_neither_its_conversation_nor_a_slot(worker: TestWorker) -> None:
    first = await say("Deploy it", user="demo-free")
    await wait_for_yes(worker)
    second = await say("What is RSI?", user="demo-free")

    assert await worker.claim() == second.turn
    await worker.order(second.turn, "finish")
    await worker.done(second.turn)

    assert await row(first.turn, "state") == ("awaiting_approval",)
    async with connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM budget_reservations")).fetchone() == (0,)


async def test_an_approval_and_its_outcome_stand_in_the_outbox_of_the_turns_channel(worker: TestWorker) -> None:
    await say("Deploy it", channel="telegram")
    approval = await wait_for_yes(worker)
    await decide(approve(approval))

    async with batch() as (_, rows):
        told = [(each.kind, each.payload.get("decision")) for each in rows]
    assert told == [("approval", None), ("approval_settled", "approved")]


async def test_the_journal_of_a_waiting_turn_is_written_anew_when_it_is_lost(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, "The risk is low.")
    clear_memory()

    await decide(approve(approval))

    assert await types(accepted.turn) == ["user_message", "snapshot", "approval", "approval_settled"]
