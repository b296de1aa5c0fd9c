"""What may go wrong with a turn, and that it ends all the same. Source: DESIGN section 2."""

import asyncio
from typing import Any

import pytest

from agents.dead_letters import list_dead, retry_dead
from agents.errors import Refused
from agents.journal import clear_memory
from agents.outbox import batch
from agents.queue import MAX_ATTEMPTS, claim_next, disown, held_by, nothing, release
from agents.tests.engine import ScriptedBrain, TestWorker, answer, frames, let_retries_be_due, row, say, types
from agents.turns import cancel_turn
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
# Nothing listens there.
NO_REDIS = "redis://127.0.0.1:1/0"


async def test_a_dead_workers_turn_is_taken_over_and_its_text_is_replaced(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "Half an ans")
    other = await TestWorker(brain).begin()
    assert await other.claim() is None

    await worker.die()
    await answer(other, "The whole answer")

    found = await frames(accepted.turn)
    after_snapshot = found[[frame["type"] for frame in found].index("snapshot") :]
    assert after_snapshot[0]["content"] == ""
    assert "".join(frame["content"] for frame in after_snapshot if frame["type"] == "token") == "The whole answer"
    assert [frame["seq"] for frame in found] == list(range(1, len(found) + 1))


async def test_a_worker_that_slept_through_its_lease_can_write_no_more(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "old")
    await worker.lose_lease()
    other = await TestWorker(brain).begin()
    sleeper, task = worker.runs[accepted.turn]
    assert await other.claim() == accepted.turn

    await worker.order(accepted.turn, "finish")
    await other.order(accepted.turn, "finish")
    await asyncio.gather(task, other.runs[accepted.turn][1])

    assert (await types(accepted.turn)).count("done") == 1
    assert await row(accepted.turn, "state", "attempts") == ("done", 2)
    assert sleeper.claim.fence < other.runs[accepted.turn][0].claim.fence


async def test_a_journal_lost_with_its_process_goes_on_above_every_number_it_gave(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "Half")
    await worker.die()
    seen = max(frame["seq"] for frame in await frames(accepted.turn))
    clear_memory()

    await answer(await TestWorker(brain).begin(), "Whole")

    found = await frames(accepted.turn)
    assert found[0]["seq"] > seen
    assert [frame["type"] for frame in found[:3]] == ["user_message", "snapshot", "started"]


async def test_a_journal_lost_in_the_middle_of_a_run_is_replaced_by_a_snapshot(worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "first ")
    clear_memory()
    await worker.order(accepted.turn, "say", "second")
    await worker.order(accepted.turn, "finish")
    await worker.done(accepted.turn)

    found = await frames(accepted.turn)
    assert found[0]["type"] == "snapshot"
    assert found[-1] | {"content": "first second"} == found[-1]


async def test_a_failure_that_may_pass_is_tried_again_and_given_up_after_three_attempts(worker: TestWorker) -> None:
    accepted = await say("Hello")

    for _ in range(MAX_ATTEMPTS):
        await let_retries_be_due()
        assert await worker.claim() == accepted.turn
        await worker.order(accepted.turn, "fail", "retryable")
        await worker.done(accepted.turn)

    assert await row(accepted.turn, "state", "dead", "error_code") == ("failed", True, "provider_unavailable")
    found = await types(accepted.turn)
    assert found.count("failed") == 1
    assert found.count("notice") == MAX_ATTEMPTS - 1


async def test_a_retry_holds_back_its_own_conversation_only(worker: TestWorker) -> None:
    first, second, other = await say("one"), await say("two"), await say("three", user="demo-free")
    assert await worker.claim() == first.turn
    await worker.order(first.turn, "fail", "retryable")
    await worker.done(first.turn)

    assert await worker.claim() == other.turn
    assert await worker.claim() is None
    await let_retries_be_due()
    assert await worker.claim() == first.turn
    assert second.position == 1


async def test_a_failure_that_will_not_pass_ends_the_turn_at_once(worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "fail", "for good")
    await worker.done(accepted.turn)

    assert await row(accepted.turn, "state", "dead", "attempts") == ("failed", False, 1)


async def test_a_turn_that_kills_its_worker_is_given_up_after_three_attempts(brain: ScriptedBrain) -> None:
    accepted = await say("Hello")
    for _ in range(MAX_ATTEMPTS):
        victim = await TestWorker(brain).begin()
        assert await victim.claim() == accepted.turn
        await victim.die()

    last = await TestWorker(brain).begin()
    await last.claim()
    await last.done(accepted.turn)

    assert await row(accepted.turn, "state", "dead", "error_code") == ("failed", True, "dead_letter")


async def test_a_bug_in_the_agent_reaches_the_user_as_a_sentence(
    worker: TestWorker, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = await say("Hello")
    for _ in range(MAX_ATTEMPTS):
        await let_retries_be_due()
        await worker.claim()
        await worker.order(accepted.turn, "break")
        await worker.done(accepted.turn)

    last = (await frames(accepted.turn))[-1]
    assert (last["code"], last["message"]) == ("internal", "Something went wrong on our side.")


async def test_the_end_of_a_turn_whose_worker_died_after_settling_is_written_by_another(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("one")
    await answer(worker, "1")
    clear_memory()
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET holder = %s, answer = '1', content = 'one', history = '[]' WHERE id = %s",
            (worker.id, accepted.turn),
        )
    await worker.lose_lease()

    other = await TestWorker(brain).begin()
    assert await other.care()

    assert await types(accepted.turn) == ["user_message", "snapshot", "done"]


async def test_what_a_database_cannot_hold_never_stops_an_answer(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello", channel="telegram")

    await answer(worker, "a\0b\ud83d")

    assert (await frames(accepted.turn))[-1]["type"] == "done"
    assert brain.stored[accepted.turn][-1]["content"] == "ab?"
    async with batch() as (_, rows):
        assert [taken.payload for taken in rows] == [{"content": "ab?"}]


async def test_numbers_that_json_does_not_know_never_stop_an_answer(brain: ScriptedBrain, worker: TestWorker) -> None:
    """Models' arguments are read with Python's JSON, which takes NaN."""
    brain.called = [{"id": "1", "name": "look", "arguments": {"limit": float("nan"), "range": [float("-inf"), 1.5]}}]
    accepted = await say("Hello")
    await answer(worker, "Done.")

    assert await row(accepted.turn, "state") == ("done",)
    [call] = brain.stored[accepted.turn][-1]["tool_calls"]
    assert call["arguments"] == {"limit": None, "range": [None, 1.5]}


async def test_a_turn_that_is_given_up_by_its_own_process_is_taken_over_at_once(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await claim_next(worker.id)
    assert await worker.claim() is None

    [(turn, fence)] = (await held_by(worker.id)).items()
    await disown(turn, fence=fence)

    assert await worker.claim() == accepted.turn


async def test_a_turn_that_was_put_back_takes_back_what_it_showed(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "Half an ans")
    run, task = worker.runs[accepted.turn]
    run.drain()
    await task

    await answer(await TestWorker(brain).begin(), "The whole")

    found = await frames(accepted.turn)
    after_snapshot = found[[frame["type"] for frame in found].index("snapshot") :]
    assert "".join(frame["content"] for frame in after_snapshot if frame["type"] == "token") == "The whole"
    assert await row(accepted.turn, "attempts") == (1,)


async def test_a_dead_turn_keeps_its_text_and_can_be_tried_again(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello")
    for _ in range(MAX_ATTEMPTS):
        await let_retries_be_due()
        await worker.claim()
        await worker.order(accepted.turn, "fail", "retryable")
        await worker.done(accepted.turn)
    assert [line.turn for line in await list_dead()] == [accepted.turn]
    assert accepted.turn not in brain.stored
    # Attempts are counted anew, and with them the orders that the scripted model waits for.
    brain.orders.clear()

    await retry_dead(accepted.turn)
    await answer(worker, "At last")

    assert brain.stored[accepted.turn][-1]["content"] == "At last"
    assert await row(accepted.turn, "state", "dead", "content") == ("done", False, "")
    assert (await types(accepted.turn)).count("done") == 1


async def test_a_turn_that_is_not_dead_cannot_be_retried(worker: TestWorker) -> None:
    accepted = await say("Hello")
    await answer(worker, "Hi")

    for turn in (accepted.turn, "no id"):
        with pytest.raises(Refused):
            await retry_dead(turn)


async def test_with_redis_away_a_turn_is_answered_and_its_end_is_told_when_redis_is_back(
    brain: ScriptedBrain, worker: TestWorker, settings: Any
) -> None:
    settings.REDIS_URL = NO_REDIS
    accepted = await say("Hello", channel="telegram")
    await answer(worker, "Hi")
    assert await row(accepted.turn, "state", "answer") == ("done", "Hi")

    settings.REDIS_URL = ""
    assert await worker.care()

    assert await types(accepted.turn) == ["user_message", "snapshot", "done"]
    assert brain.stored[accepted.turn][-1]["content"] == "Hi"
    async with batch() as (_, rows):
        assert [taken.payload for taken in rows] == [{"content": "Hi"}]


async def test_with_redis_away_a_waiting_turn_and_a_command_end_all_the_same(worker: TestWorker, settings: Any) -> None:
    waiting = await say("Hello")
    settings.REDIS_URL = NO_REDIS
    await cancel_turn(waiting.turn, user_id="demo-pro")
    command = await say("/help")
    settings.REDIS_URL = ""

    while await worker.care():
        pass

    assert (await types(waiting.turn))[-1] == "cancelled"
    assert (await types(command.turn))[-1] == "done"


async def test_stop_and_the_end_of_an_answer_do_not_lock_each_other_out(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    for _ in range(10):
        accepted = await say("Hello")
        await worker.claim()
        await worker.order(accepted.turn, "say", "Hi")

        await asyncio.gather(worker.order(accepted.turn, "finish"), say("/stop"))
        await worker.done(accepted.turn)

        assert (await row(accepted.turn, "state"))[0] in {"done", "cancelled"}


async def test_a_cancelled_turn_whose_model_fails_ends_cancelled(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    run, _ = worker.runs[accepted.turn]
    run._cancelled = True
    await worker.order(accepted.turn, "fail", "retryable")
    await worker.done(accepted.turn)

    assert await row(accepted.turn, "state") == ("cancelled",)


async def test_a_released_turn_is_nobodys_and_keeps_its_attempts(worker: TestWorker) -> None:
    accepted = await say("Hello")
    claim = await claim_next(worker.id)
    assert claim is not None

    await release(claim, closing=nothing)

    assert await row(accepted.turn, "state", "holder", "attempts") == ("queued", None, 0)


async def test_a_turn_that_is_cancelled_between_two_attempts_keeps_its_question(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "fail", "retryable")
    await worker.done(accepted.turn)

    await cancel_turn(accepted.turn, user_id="demo-pro")
    assert await worker.care()

    assert brain.stored[accepted.turn] == [{"role": "user", "content": "Hello", "channel": "web"}]
    assert (await types(accepted.turn)).count("cancelled") == 1
