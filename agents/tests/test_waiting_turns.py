"""A turn that waits for its user: what it holds meanwhile, how it goes on, and all that may come between.

Source: DESIGN sections 2 and 6.
"""

from typing import Any

import pytest

from accounts.models import AuditEntry, UserLicence
from agents.approvals import Decision, decide, get_approval, list_approvals
from agents.dead_letters import retry_dead
from agents.errors import Refused
from agents.journal import clear_memory
from agents.outbox import batch
from agents.queue import MAX_ATTEMPTS
from agents.runner import MOST_WAITS
from agents.tests.engine import (
    ScriptedBrain,
    TestWorker,
    answer,
    frames,
    let_retries_be_due,
    row,
    say,
    types,
)
from agents.tests.waits import approve, wait_for_yes
from agents.turns import cancel_turn
from agents.waits import ask_to_tell, expire_waits
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def test_an_approved_turn_goes_on_where_it_was_with_what_it_had_said(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, "The risk is low.")
    assert await row(accepted.turn, "state", "holder", "attempts") == ("awaiting_approval", None, 0)

    assert (await decide(approve(approval, comment="go"))).state == "approved"
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
    assert told == [("said", None), ("approval", None), ("approval_settled", "approved")]


async def test_the_journal_of_a_waiting_turn_is_written_anew_when_it_is_lost(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, "The risk is low.")
    clear_memory()

    await decide(approve(approval))

    assert await types(accepted.turn) == ["user_message", "snapshot", "approval", "approval_settled"]


async def test_what_is_shown_already_is_not_shown_again(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    await decide(approve(await wait_for_yes(worker, "The risk is low.")))
    await answer(worker, "Deployed.")

    assert "snapshot" not in await types(accepted.turn)


async def test_the_journal_of_a_turn_that_waits_is_given_back_to_whoever_looks_at_it(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    await wait_for_yes(worker, "The risk is low.")
    clear_memory()

    await ask_to_tell(accepted.turn)
    assert await worker.care()

    found = await frames(accepted.turn)
    assert [frame["type"] for frame in found] == ["user_message", "snapshot", "approval"]
    assert found[1]["content"] == "The risk is low."
    assert await row(accepted.turn, "state", "holder") == ("awaiting_approval", None)
    assert not await worker.care()


async def test_a_worker_that_died_before_it_could_show_the_approval_has_it_shown_by_another(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker)
    clear_memory()
    async with connection() as conn:
        await conn.execute("UPDATE turns SET holder = %s WHERE id = %s", (worker.id, accepted.turn))
    await worker.lose_lease()

    assert await (await TestWorker(brain).begin()).care()

    assert (await types(accepted.turn))[-1] == "approval"
    assert (await decide(approve(approval))).state == "approved", "and it can be decided"


async def test_a_worker_killed_after_the_decision_leaves_it_to_another_and_no_text_is_doubled(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    await decide(approve(await wait_for_yes(worker, "Before.")))
    await worker.claim()
    await worker.order(accepted.turn, "say", "Half")
    await worker.die()

    await answer(await TestWorker(brain).begin(), "After.")

    assert [each.decision for each in brain.resumed[accepted.turn]] == ["approved", "approved"]
    found = await frames(accepted.turn)
    last = max(index for index, frame in enumerate(found) if frame["type"] == "snapshot")
    assert found[last]["content"] == "Before."
    assert found[-1]["content"] == "Before.\n\nAfter." == brain_text(found[last:])
    assert [frame["type"] for frame in found].count("approval_settled") == 1


def brain_text(found: list[dict[str, Any]]) -> str:
    """What is shown by a snapshot and the tokens after it."""
    return "".join(frame["content"] for frame in found if frame["type"] in {"snapshot", "token"})


async def test_a_rejected_turn_goes_on_and_may_say_so(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker)

    await decide(Decision(approval=approval, choice="reject", user_id="demo-pro", channel="telegram", comment="no"))
    await answer(worker, "Nothing was deployed.")

    [resumed] = brain.resumed[accepted.turn]
    assert (resumed.decision, resumed.comment, resumed.by_channel) == ("rejected", "no", "telegram")
    entry = await AuditEntry.objects.aget(action="approval.rejected")
    assert (entry.actor, entry.object) == ("user:demo-pro", f"approval:{approval}")
    assert entry.details["digest"] == resumed.digest
    assert "Deploy" not in str(entry.details)


async def test_an_approval_whose_time_is_over_lets_its_turn_go_on_and_can_not_be_decided_any_more(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, ttl_s="0.001")

    with pytest.raises(Refused) as refused:
        await decide(approve(approval))
    assert refused.value.code == "expired"
    assert await expire_waits() == 1
    assert await expire_waits() == 0
    await answer(worker, "The time was over.")

    assert [each.decision for each in brain.resumed[accepted.turn]] == ["expired"]
    [settled] = [frame for frame in await frames(accepted.turn) if frame["type"] == "approval_settled"]
    assert (settled["decision"], settled["by_channel"]) == ("expired", "gateway")
    assert await AuditEntry.objects.filter(action="approval.expired", actor="gateway").acount() == 1


async def test_cancelling_a_waiting_turn_withdraws_what_it_waits_for(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Deploy it", channel="telegram")
    approval = await wait_for_yes(worker, "The risk is low.")

    await cancel_turn(accepted.turn, user_id="demo-pro")
    with pytest.raises(Refused) as refused:
        await decide(approve(approval))
    assert await worker.care()

    assert refused.value.code == "already_decided"
    assert (await types(accepted.turn))[-2:] == ["approval_settled", "cancelled"]
    assert (await frames(accepted.turn))[-1]["content"] == "The risk is low."
    assert [message["role"] for message in brain.stored[accepted.turn]] == ["user", "assistant"]
    async with batch() as (_, rows):
        assert [each.kind for each in rows] == ["said", "approval", "approval_settled", "cancelled"]
        assert rows[0].payload == {"content": "The risk is low.", "told": 0}
        assert rows[-1].payload == {"content": "The risk is low.", "told": len("The risk is low.")}
    assert await worker.claim() is None


async def test_stop_withdraws_what_waits_in_the_conversation(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker)

    await say("/stop", channel="telegram")

    assert await row(accepted.turn, "state") == ("cancelled",)
    assert (await get_approval("demo-pro", approval)).state == "cancelled"


async def test_a_cancel_that_comes_while_the_agent_begins_to_wait_ends_the_turn(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    await worker.claim()
    # Its notification has not reached the worker yet.
    await cancel_turn(accepted.turn, user_id="demo-pro")
    await worker.order(accepted.turn, "ask yes")
    await worker.done(accepted.turn)

    assert await row(accepted.turn, "state") == ("cancelled",)
    assert await list_approvals("demo-pro") == []


async def test_a_licence_that_ends_meanwhile_lets_nothing_be_approved_and_ends_the_turn_with_a_sentence(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    approval = await wait_for_yes(worker, "The risk is low.")
    await UserLicence.objects.filter(user_id="demo-pro").aupdate(expires_at="2020-01-01T00:00:00Z")

    with pytest.raises(Refused) as refused:
        await decide(approve(approval))
    await _time_is_over()
    await expire_waits()
    await worker.claim()
    await worker.done(accepted.turn)

    assert refused.value.code == "licence_expired"
    assert brain.resumed[accepted.turn] == []
    last = (await frames(accepted.turn))[-1]
    assert (last["type"], last["code"]) == ("failed", "licence_expired")


async def _time_is_over() -> None:
    async with connection() as conn:
        for table in ("approvals", "questions"):
            await conn.execute(f"UPDATE {table} SET expires_at = clock_timestamp() WHERE state = 'pending'")


async def test_an_old_yes_is_none_to_a_turn_that_staff_has_tried_again(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Deploy it")
    await decide(approve(await wait_for_yes(worker, "Before.")))
    for _ in range(MAX_ATTEMPTS):
        await let_retries_be_due()
        await worker.claim()
        await worker.order(accepted.turn, "fail", "retryable")
        await worker.done(accepted.turn)
    assert await row(accepted.turn, "dead", "attempts") == (True, MAX_ATTEMPTS), "waiting is no attempt"
    brain.resumed.clear()
    brain.orders.clear()

    await retry_dead(accepted.turn)
    await wait_for_yes(worker, "Again.")

    assert brain.resumed[accepted.turn] == []
    assert await row(accepted.turn, "answer", "waits") == ("Again.", 1)


async def test_a_turn_that_comes_back_does_not_lock_out_one_whose_worker_died(brain: ScriptedBrain) -> None:
    """A free licence has one slot, and the dead worker's turn, which holds it, was asked later."""
    worker = await TestWorker(brain).begin()
    first = await say("Deploy it", user="demo-free")
    approval = await wait_for_yes(worker)
    second = await say("And this?", user="demo-free")
    assert await worker.claim() == second.turn
    await decide(Decision(approval=approval, choice="approve", user_id="demo-free", channel="web"))
    await worker.die()

    other = await TestWorker(brain).begin()
    assert await answer(other) == second.turn
    assert await answer(other) == first.turn


async def test_a_turn_may_not_wait_for_ever_again(worker: TestWorker) -> None:
    accepted = await say("Deploy it")
    for _ in range(MOST_WAITS):
        await decide(approve(await wait_for_yes(worker)))
    await worker.claim()
    await worker.order(accepted.turn, "ask yes")
    await worker.done(accepted.turn)

    assert await row(accepted.turn, "state", "error_code") == ("failed", "too_many_steps")
