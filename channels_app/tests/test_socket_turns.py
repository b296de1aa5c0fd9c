"""Source: DESIGN.md, sections 2 and 3: what a socket is sent of its user's turns, in order and once."""

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer

from agents.hints import hint_workspace
from agents.journal import clear_memory, journal
from agents.tests.engine import TestWorker, say
from channels_app.tests.live import ready_client
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)


async def _answered(worker: TestWorker, turn: str, *texts: str) -> None:
    """Have the worker answer a turn with these texts."""
    await worker.claim()
    for text in texts:
        await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)


async def _last_number(turn: str) -> int:
    """The number of the last event in the turn's journal."""
    found = await journal().read(turn, after=0)
    assert found is not None
    return found.last


def _kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def _numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["seq"] for frame in frames]


async def test_a_message_is_accepted_and_its_events_follow_in_order(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello, AI!", id="m1")
        accepted = await client.next()
        assert (accepted["type"], accepted["id"], accepted["position"]) == ("accepted", "m1", 0)

        await _answered(worker, accepted["turn"], "Hello, ", "human!")
        done = await client.until("done")

    events = client.events(accepted["turn"])
    assert _kinds(events)[:3] == ["user_message", "started", "token"]
    assert "".join(frame["content"] for frame in events if frame["type"] == "token") == "Hello, human!"
    assert (done["content"], done["model"]) == ("Hello, human!", "demo/demo")
    assert _numbers(events) == list(range(1, len(events) + 1))


async def test_a_message_without_an_id_is_accepted_with_none(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello, AI!")

        assert (await client.next())["id"] is None


async def test_every_tab_sees_the_question_and_the_answer(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(gateway, "demo-pro") as other:
        await one.send("message", content="Hello")
        turn = (await one.until("accepted"))["turn"]
        await _answered(worker, turn, "Hi")
        await one.until("done")
        await other.until("done")

    assert "accepted" not in _kinds(other.frames)
    assert one.events(turn) == other.events(turn)


async def test_another_user_sees_nothing(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(gateway, "demo-free") as other:
        await one.send("message", content="Hello")
        await _answered(worker, (await one.until("accepted"))["turn"], "Hi")
        await one.until("done")

        await other.quiet()


async def test_a_message_from_a_chat_app_shows_on_the_page(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        accepted = await say("from my phone", channel="telegram")
        await _answered(worker, accepted.turn, "Hi")
        await client.until("done")

    assert (
        client.events(accepted.turn)[0] | {"channel": "telegram", "content": "from my phone"}
        == client.events(accepted.turn)[0]
    )


async def test_a_running_turn_is_named_at_the_start_and_sent_only_when_asked_for(
    gateway: str, worker: TestWorker
) -> None:
    accepted = await say("a long question")
    await worker.claim()
    async with ready_client(gateway, "demo-pro") as client:
        assert client.frames[0]["running"] == [accepted.turn]
        await worker.order(accepted.turn, "say", "one ")
        await client.quiet()

        await client.send("resume", turn=accepted.turn, after=1)
        await client.until("token")
        await worker.order(accepted.turn, "say", "two")
        await worker.order(accepted.turn, "finish")
        await client.until("done")

    events = client.events(accepted.turn)
    assert _numbers(events) == list(range(2, 2 + len(events)))


async def test_a_client_that_was_away_misses_nothing_and_gets_nothing_twice(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello")
        turn = (await client.until("accepted"))["turn"]
        await worker.claim()
        await worker.order(turn, "say", "one ")
        last = (await client.until("token"))["seq"]
    await worker.order(turn, "say", "two ")
    async with ready_client(gateway, "demo-pro") as again:
        await again.send("resume", turn=turn, after=last)
        await worker.order(turn, "say", "three")
        await worker.order(turn, "finish")
        await again.until("done")

    events = client.events(turn) + again.events(turn)
    assert _numbers(events) == list(range(1, len(events) + 1))
    assert "".join(frame["content"] for frame in events if frame["type"] == "token") == "one two three"


async def test_a_disconnect_does_not_stop_the_turn(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello")
        turn = (await client.until("accepted"))["turn"]
    await _answered(worker, turn, "Hi")

    async with ready_client(gateway, "demo-pro") as again:
        assert again.frames[0]["running"] == []
        await again.send("resume", turn=turn, after=0)
        assert (await again.until("done"))["content"] == "Hi"


async def test_the_same_id_and_content_repeat_accepted_and_replay(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello", id="m1")
        accepted = await client.until("accepted")
        await _answered(worker, accepted["turn"], "Hi")
        await client.until("done")
        first = client.events(accepted["turn"])
        client.frames.clear()

        await client.send("message", content="Hello", id="m1")
        assert await client.next() == accepted
        await client.until("done")
    assert client.events(accepted["turn"]) == first


async def test_the_same_id_with_other_content_is_a_conflict(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello", id="m1")
        await client.send("message", content="Goodbye", id="m1")
        error = await client.until("error")

    assert (error["code"], error["id"]) == ("conflict", "m1")


async def test_a_second_message_waits_for_the_first(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="one")
        await client.send("message", content="two", id="m2")
        while (accepted := await client.until("accepted"))["id"] != "m2":
            pass
        queued = await client.until("queued")

    assert accepted["position"] == queued["position"] == 1


async def test_a_turn_is_cancelled_from_any_tab(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(gateway, "demo-pro") as other:
        await one.send("message", content="Hello")
        turn = (await one.until("accepted"))["turn"]
        await other.send("cancel", turn=turn)

        assert (await one.until("cancelled"))["turn"] == turn
        assert (await other.until("cancelled"))["turn"] == turn


@pytest.mark.parametrize("kind", ["cancel", "resume"])
async def test_another_users_turn_is_missing(gateway: str, kind: str) -> None:
    theirs = (await say("mine", user="demo-free")).turn
    async with ready_client(gateway, "demo-pro") as client:
        for turn in (theirs, new_id(), "no-such-turn", "a/b"):
            await client.send(kind, turn=turn, id=turn[:5], **({"after": 0} if kind == "resume" else {}))
            error = await client.next()
            assert (error["code"], error["id"]) == ("not_found", turn[:5])


@pytest.mark.parametrize("frame", [{"kind": "history"}, {"kind": "message", "content": "Hello"}])
async def test_another_users_conversation_is_missing(gateway: str, frame: Any) -> None:
    theirs = (await say("mine", user="demo-free")).conversation
    async with ready_client(gateway, "demo-pro") as client:
        for conversation in (theirs, new_id(), "no-such-conversation"):
            await client.send(**frame, conversation=conversation, id="1")
            error = await client.next()
            assert (error["code"], error["id"]) == ("not_found", "1")


async def test_a_command_is_answered_at_once(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="/help")
        done = await client.until("done")

    assert _kinds(client.frames)[-3:] == ["accepted", "user_message", "done"]
    assert done["model"] is None


async def test_lost_hints_lose_nothing(gateway: str, worker: TestWorker) -> None:
    """The journal is looked at every 2 s, whatever the channel layer dropped."""
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello")
        turn = (await client.until("accepted"))["turn"]
        layer = get_channel_layer()
        assert layer is not None
        await layer.flush()
        await _answered(worker, turn, "Hi")
        await client.until("done")

    events = client.events(turn)
    assert _numbers(events) == list(range(1, len(events) + 1))


async def test_a_failed_turn_ends_with_its_reason(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="Hello")
        turn = (await client.until("accepted"))["turn"]
        await worker.claim()
        await worker.order(turn, "fail")
        failed = await client.until("failed")

    assert failed["code"] == "provider_unavailable"


async def test_past_the_journal_a_turn_is_told_by_its_row(gateway: str, worker: TestWorker) -> None:
    worker.brain.storing = False
    accepted = await say("Hello")
    await _answered(worker, accepted.turn, "Hi ", "there")
    last = await _last_number(accepted.turn)
    clear_memory()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=1)
        await client.until("done")

    snapshot, done = client.events(accepted.turn)
    assert (snapshot["type"], snapshot["content"], snapshot["seq"]) == ("snapshot", "Hi there", last - 1)
    assert (done["content"], done["seq"]) == ("Hi there", last)


async def test_past_the_journal_a_failure_is_told_by_its_row(gateway: str, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "fail")
    await worker.done(accepted.turn)
    last = await _last_number(accepted.turn)
    clear_memory()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=1)
        await client.until("failed")

    assert [(event["type"], event["seq"]) for event in client.events(accepted.turn)] == [
        ("snapshot", last - 1),
        ("failed", last),
    ]


@pytest.mark.parametrize("past_the_journal", [False, True])
async def test_who_has_the_last_event_gets_nothing_again(
    gateway: str, worker: TestWorker, past_the_journal: bool
) -> None:
    worker.brain.storing = False
    accepted = await say("Hello")
    await _answered(worker, accepted.turn, "Hi")
    last = await _last_number(accepted.turn)
    if past_the_journal:
        clear_memory()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=last)
        await client.quiet()

        await client.send("resume", turn=accepted.turn, after=last - 1)
        await client.until("done")
    assert _numbers(client.events(accepted.turn)) == [last]


async def test_past_the_journal_an_unreachable_history_is_an_error_with_the_frames_id(
    gateway: str, worker: TestWorker
) -> None:
    accepted = await say("Hello")
    await _answered(worker, accepted.turn, "Hi")
    clear_memory()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=0, id="r1")
        error = await client.until("error")

    assert (error["code"], error["id"]) == ("workspace_unreachable", "r1")


async def test_past_the_journal_an_answer_that_can_be_reached_again_is_sent(gateway: str, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await _answered(worker, accepted.turn, "Hi")
    clear_memory()
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=0, id="r1")
        await client.until("error")
        async with connection() as conn:
            await conn.execute("UPDATE turns SET answer = 'Hi' WHERE id = %s", (accepted.turn,))

        assert (await client.until("done"))["content"] == "Hi"
    assert _kinds(client.frames).count("error") == 1


async def test_a_journal_that_comes_back_after_a_crash_begins_with_a_snapshot(gateway: str, worker: TestWorker) -> None:
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", "half an ")
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=accepted.turn, after=0)
        seen = (await client.until("token"))["seq"]
        await worker.die()
        clear_memory()
        second = await type(worker)(worker.brain).begin()
        await _answered(second, accepted.turn, "the whole answer")
        await client.until("done")

    events = [event for event in client.events(accepted.turn) if event["seq"] > seen]
    after = _kinds(events).index("snapshot")
    assert events[after]["content"] == ""
    assert "".join(event["content"] for event in events[after:] if event["type"] == "token") == "the whole answer"
    assert _numbers(events) == sorted(set(_numbers(events)))


async def test_a_slow_history_holds_nothing_up(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        conversation = client.frames[0]["conversation"]
        await client.send("history", conversation=conversation, id="h1")
        await client.send("ping")
        seen = {(await client.next())["type"], (await client.next())["type"]}

    assert "pong" in seen


async def test_what_the_group_is_told_of_the_workspace_reaches_every_tab(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(gateway, "demo-pro") as other:
        await hint_workspace("demo-pro", state="starting", detail="Starting…")
        await hint_workspace("demo-pro", state="starting", detail="Starting…")

        for client in (one, other):
            assert await client.next() == {"type": "status", "state": "starting", "detail": "Starting…"}
            await client.quiet()


async def test_many_tabs_see_the_same_stream(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as first:
        await first.send("message", content="Hello")
        turn = (await first.until("accepted"))["turn"]
        await worker.claim()
        async with ready_client(gateway, "demo-pro") as second:
            await second.send("resume", turn=turn, after=0)
            for word in "abcdef":
                await worker.order(turn, "say", word)
            await worker.order(turn, "finish")
            await asyncio.gather(first.until("done"), second.until("done"))

    assert first.events(turn) == second.events(turn)
