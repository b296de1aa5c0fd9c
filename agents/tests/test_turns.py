"""The life of a turn. Source: DESIGN section 2."""

import asyncio

import pytest

from agents.busy import QUEUE_CAP
from agents.conversations import list_conversations
from agents.errors import Refused
from agents.open_turns import open_turns
from agents.outbox import batch
from agents.tests.engine import ScriptedBrain, TestWorker, answer, frames, row, say, types
from agents.turns import cancel_turn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def test_a_message_is_answered_and_its_events_stand_in_the_journal(worker: TestWorker) -> None:
    accepted = await say("Hello")

    await answer(worker, "Hi", " there")

    found = await frames(accepted.turn)
    assert [frame["type"] for frame in found][:2] == ["user_message", "started"]
    assert [frame["seq"] for frame in found] == list(range(1, len(found) + 1))
    assert "".join(frame["content"] for frame in found if frame["type"] == "token") == "Hi there"
    assert found[-1]["type"] == "done"
    assert found[-1]["content"] == "Hi there"
    assert found[-1]["model"] == "demo/demo"


async def test_a_message_sent_fifty_times_at_once_is_one_turn(worker: TestWorker) -> None:
    results = await asyncio.gather(*(say("Hello", channel="telegram", external="7:1") for _ in range(50)))

    assert len({accepted.turn for accepted in results}) == 1
    assert sum(not accepted.duplicate for accepted in results) == 1
    await answer(worker, "Hi")
    assert await worker.claim() is None


async def test_the_same_id_with_other_content_is_a_conflict() -> None:
    await say("Hello", external="1")

    with pytest.raises(Refused) as refused:
        await say("Goodbye", external="1")

    assert refused.value.code == "conflict"


@pytest.mark.parametrize(("user", "code"), [("demo-expired", "licence_expired"), ("demo-unlicensed", "no_licence")])
async def test_without_a_licence_nothing_is_stored(user: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await say("Hello", user=user)

    assert refused.value.code == code
    assert await open_turns(user) == []


@pytest.mark.parametrize("content", ["", "  \n", "a\0b", "\ud800", "x" * 32_001])
async def test_a_message_that_cannot_be_stored_is_refused(content: str) -> None:
    with pytest.raises(Refused) as refused:
        await say(content)

    assert refused.value.code == "invalid"


async def test_another_users_conversation_looks_like_a_missing_one() -> None:
    theirs = await say("Hello", user="demo-free")

    with pytest.raises(Refused) as refused:
        await say("Hello", user="demo-pro", conversation=theirs.conversation)

    assert refused.value.code == "not_found"


async def test_turns_of_a_conversation_run_one_after_the_other(worker: TestWorker) -> None:
    first, second = await say("one"), await say("two")
    assert (first.position, second.position) == (0, 1)
    assert "queued" in await types(second.turn)

    assert await worker.claim() == first.turn
    assert await worker.claim() is None
    await worker.order(first.turn, "finish")
    await worker.done(first.turn)

    assert await worker.claim() == second.turn


async def test_conversations_do_not_wait_for_each_other(worker: TestWorker) -> None:
    mine, theirs = await say("one"), await say("two", user="demo-free")

    assert {await worker.claim(), await worker.claim()} == {mine.turn, theirs.turn}


async def test_the_queue_of_a_conversation_is_bounded(worker: TestWorker) -> None:
    for number in range(QUEUE_CAP + 1):
        await say(f"message {number}")

    with pytest.raises(Refused) as refused:
        await say("one too many")

    assert refused.value.code == "queue_full"


async def test_cancel_stops_a_running_turn_and_keeps_what_was_written(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "Half")

    await cancel_turn(accepted.turn, user_id="demo-pro")
    worker.runs[accepted.turn][0].cancel()
    await worker.done(accepted.turn)

    assert (await frames(accepted.turn))[-1] | {"type": "cancelled", "content": "Half"} == (
        await frames(accepted.turn)
    )[-1]
    assert brain.stored[accepted.turn][-1] == {"role": "assistant", "content": "Half"}


async def test_cancel_ends_a_waiting_turn_at_once(worker: TestWorker) -> None:
    await say("one")
    waiting = await say("two")

    await cancel_turn(waiting.turn, user_id="demo-pro")

    assert (await types(waiting.turn))[-1] == "cancelled"
    await answer(worker)
    assert await worker.claim() is None


async def test_a_cancelled_turn_whose_worker_died_ends_cancelled(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await cancel_turn(accepted.turn, user_id="demo-pro")
    await worker.die()

    other = await TestWorker(brain).begin()
    await other.claim()
    await other.done(accepted.turn)

    assert await row(accepted.turn, "state") == ("cancelled",)
    assert len(brain.started) <= 1, "it is not run again"


async def test_another_users_turn_cannot_be_cancelled(worker: TestWorker) -> None:
    accepted = await say("Hello")

    with pytest.raises(Refused) as refused:
        await cancel_turn(accepted.turn, user_id="stranger")

    assert refused.value.code == "not_found"
    assert await worker.claim() == accepted.turn


async def test_the_next_turn_waits_until_the_workspace_has_the_last_one(
    brain: ScriptedBrain, worker: TestWorker
) -> None:
    first = await say("one")
    second = await say("two")
    await answer(worker, "1")

    assert brain.stored_order == [first.turn]
    assert await row(first.turn, "content", "answer", "history") == ("", "", None)
    assert await worker.claim() == second.turn


async def test_a_finished_turn_of_a_chat_channel_stands_once_in_the_outbox(worker: TestWorker) -> None:
    await say("Hello", channel="telegram")
    await answer(worker, "Hi")
    await say("Hello", channel="web")
    await answer(worker, "Hi")

    async with batch() as (_, rows):
        taken = [(taken.channel, taken.kind, taken.payload, taken.reply_to) for taken in rows]
    async with batch() as (_, rows):
        again = rows

    assert taken == [("telegram", "done", {"content": "Hi"}, {"chat": "1"})]
    assert again == []


async def test_what_a_turn_told_beside_its_answer_goes_to_the_chat_with_it_once(worker: TestWorker) -> None:
    await say("Hello", channel="telegram")
    turn = await worker.claim()
    assert turn is not None
    for order, text in (("note", "Seen."), ("note", "Seen."), ("say", "Hi"), ("finish", "")):
        await worker.order(turn, order, text)
    await worker.done(turn)

    async with batch() as (_, rows):
        assert [each.payload for each in rows] == [{"content": "Hi", "notices": ["Seen."]}]


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ("/help", "Ask"),
        ("/start", "Hello!"),
        ("/stop", "Nothing"),
        ("/status", "Workspace:"),
        ("/link ABCD2345", "Chat apps are linked"),
        ("/unlink", "Chat apps are linked"),
        ("/what", "I don't know"),
    ],
)
async def test_a_command_is_answered_at_once_without_a_model(command: str, starts: str, worker: TestWorker) -> None:
    accepted = await say(command)

    found = await frames(accepted.turn)
    assert [frame["type"] for frame in found] == ["user_message", "done"]
    assert found[-1]["content"].startswith(starts)
    assert found[-1]["model"] is None
    assert await worker.claim() is None


async def test_stop_ends_what_runs_and_what_waits_in_the_conversation(worker: TestWorker) -> None:
    running, waiting = await say("one"), await say("two")
    await worker.claim()

    stopped = await say("/stop", channel="telegram")

    assert (await frames(stopped.turn))[-1]["content"] == "Stopped."
    assert await row(running.turn, "cancel_requested") == (True,)
    assert await row(waiting.turn, "state") == ("cancelled",)


async def test_new_begins_a_conversation_that_all_channels_share(worker: TestWorker) -> None:
    before = await say("one")
    command = await say("/new", channel="telegram")

    after = await say("two")

    assert after.conversation == command.conversation != before.conversation
    assert {frame["conversation"] for frame in await frames(command.turn)} == {after.conversation}
    assert (await say("three", channel="telegram")).conversation == after.conversation
    assert len(await list_conversations("demo-pro")) == 2


async def test_a_conversation_is_titled_by_its_first_message(worker: TestWorker) -> None:
    await say("What is\n the RSI of SPX?")
    await answer(worker, "50")

    assert [item.title for item in await list_conversations("demo-pro")] == ["What is the RSI of SPX?"]
