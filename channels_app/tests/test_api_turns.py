"""Source: DESIGN.md, section 4: messages over HTTP, and their events as server-sent events."""

import json
from typing import Any

import httpx
import pytest

from agents.journal import clear_memory
from agents.tests.engine import TestWorker, say
from channels_app.tests.live import error_code, http_of
from channels_app.tests.schemas import check_server_frame
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/turns"


async def _answered(worker: TestWorker, turn: str, text: str) -> None:
    await worker.claim()
    await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)


def _events(text: str) -> list[dict[str, Any]]:
    """The frames of a stream; each `id:` is its frame's number."""
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            frame = json.loads(fields["data"])
            check_server_frame(frame)
            assert frame["type"] == "error" or int(fields["id"]) == frame["seq"]
            events.append(frame)
    return events


async def test_a_message_is_accepted_with_202_and_the_accepted_frame(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post(URL, json={"type": "message", "content": "Hello, AI!", "id": "m1"})
        again = await http.post(URL, json={"content": "Hello, AI!", "id": "m1"})
        other = await http.post(URL, json={"content": "Goodbye", "id": "m1"})

    assert answer.status_code == 202
    check_server_frame(answer.json())
    assert (answer.json()["type"], answer.json()["id"]) == ("accepted", "m1")
    assert again.json() == answer.json()
    assert error_code(other, 409) == "conflict"


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"type": "ping"}, {"type": "cancel", "turn": "t"}, []])
async def test_what_is_no_message_is_400(gateway: str, body: object) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(URL, json=body), 400) == "invalid"


async def test_a_file_that_is_not_there_is_404(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post(URL, json={"content": "x", "attachments": ["u"]})

    assert error_code(answer, 404) == "not_found"


async def test_the_queue_is_listed_and_what_waits_in_it_can_be_cancelled(gateway: str, worker: TestWorker) -> None:
    first, second = await say("First"), await say("Second")
    assert await worker.claim() == first.turn
    await say("Another's", user="demo-free")
    async with http_of(gateway, "demo-pro") as http:
        listed = (await http.get(URL)).json()["turns"]
        await http.post(f"{URL}/{second.turn}/cancel")
        left = (await http.get(URL)).json()["turns"]

    assert [(turn["turn"], turn["state"], turn["position"]) for turn in listed] == [
        (first.turn, "running", 0),
        (second.turn, "queued", 1),
    ]
    assert [turn["turn"] for turn in left] == [first.turn]


async def test_a_turn_shows_its_answer(gateway: str, worker: TestWorker) -> None:
    worker.brain.storing = False
    turn = (await say("Hello")).turn
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.get(f"{URL}/{turn}")).json()["state"] == "queued"
        await _answered(worker, turn, "Hi")
        found = (await http.get(f"{URL}/{turn}")).json()

    assert (found["state"], found["answer"], found["model"], found["error"]) == ("done", "Hi", "demo/demo", None)


async def test_a_turn_is_cancelled(gateway: str) -> None:
    turn = (await say("Hello")).turn
    async with http_of(gateway, "demo-pro") as http:
        for _ in range(2):
            answer = await http.post(f"{URL}/{turn}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/cancel"), ("GET", "/events")])
async def test_another_users_turn_is_missing(gateway: str, method: str, path: str) -> None:
    theirs = (await say("mine", user="demo-free")).turn
    async with http_of(gateway, "demo-pro") as http:
        for turn in (theirs, new_id(), "nonsense"):
            assert error_code(await http.request(method, f"{URL}/{turn}{path}"), 404) == "not_found"


async def test_the_events_of_a_finished_turn_are_streamed_to_their_end(gateway: str, worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    await _answered(worker, turn, "Hi")
    async with http_of(gateway, "demo-pro") as http:
        whole = await http.get(f"{URL}/{turn}/events")
        rest = await http.get(f"{URL}/{turn}/events?after=2")
        again = await http.get(f"{URL}/{turn}/events", headers={"Last-Event-ID": "2"})

    assert whole.headers["Content-Type"] == "text/event-stream"
    events = _events(whole.text)
    assert [event["type"] for event in events] == ["user_message", "started", "token", "done"]
    assert _events(rest.text) == _events(again.text) == events[2:]


async def test_events_are_streamed_as_they_happen(gateway: str, worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    seen: list[dict[str, Any]] = []
    async with http_of(gateway, "demo-pro") as http, http.stream("GET", f"{URL}/{turn}/events") as stream:
        lines = stream.aiter_lines()
        await _until(lines, "user_message", seen)
        await worker.claim()
        await worker.order(turn, "say", "one ")
        await _until(lines, "token", seen)
        await worker.order(turn, "say", "two")
        await worker.order(turn, "finish")
        await _until(lines, "done", seen)

    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))


async def _until(lines: Any, kind: str, seen: list[dict[str, Any]]) -> None:
    async for line in lines:
        if line.startswith("data: "):
            seen.append(json.loads(line[6:]))
            if seen[-1]["type"] == kind:
                return


async def test_a_stream_past_the_journal_ends_with_the_answer(gateway: str, worker: TestWorker) -> None:
    worker.brain.storing = False
    turn = (await say("Hello")).turn
    await _answered(worker, turn, "Hi")
    clear_memory()
    async with http_of(gateway, "demo-pro") as http:
        events = _events((await http.get(f"{URL}/{turn}/events")).text)

    assert [(event["type"], event["seq"]) for event in events] == [("snapshot", 3), ("done", 4)]


@pytest.mark.parametrize("past_the_journal", [False, True])
async def test_a_client_that_has_the_last_event_is_told_204(
    gateway: str, worker: TestWorker, past_the_journal: bool
) -> None:
    worker.brain.storing = False
    turn = (await say("Hello")).turn
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.get(f"{URL}/{turn}")).json().keys().isdisjoint({"last_seq"})
        await _answered(worker, turn, "Hi")
        if past_the_journal:
            clear_memory()
        events = _events((await http.get(f"{URL}/{turn}/events")).text)
        again = await http.get(f"{URL}/{turn}/events", headers={"Last-Event-ID": str(events[-1]["seq"])})

    assert (again.status_code, again.content) == (204, b"")


async def test_a_stream_of_which_the_end_was_just_seen_ends_with_the_turn(gateway: str, worker: TestWorker) -> None:
    """It was opened after the last event was written, and before that event's number was noted."""
    turn = (await say("Hello")).turn
    await _answered(worker, turn, "Hi")
    async with connection() as conn:
        await conn.execute("UPDATE turns SET last_seq = NULL WHERE id = %s", (turn,))
    async with http_of(gateway, "demo-pro") as http, http.stream("GET", f"{URL}/{turn}/events?after=4") as stream:
        async with connection() as conn:
            await conn.execute("UPDATE turns SET last_seq = 4 WHERE id = %s", (turn,))

        assert [line async for line in stream.aiter_lines() if line.startswith("data")] == []


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 400, "٣"])
async def test_a_number_that_is_none_is_400(gateway: str, after: str) -> None:
    turn = (await say("Hello")).turn
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.get(f"{URL}/{turn}/events", params={"after": after})

    assert error_code(answer, 400) == "invalid"


async def test_nobody_streams_without_a_token(gateway: str) -> None:
    turn = (await say("Hello")).turn
    async with http_of(gateway) as http:
        answer = await http.get(f"{URL}/{turn}/events")
        assert error_code(answer, 401) == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert error_code(await http.post(f"{URL}/{turn}/events"), 405) == "method_not_allowed"


async def test_a_client_that_leaves_a_stream_leaves_nothing_behind(gateway: str) -> None:
    turn = (await say("Hello")).turn
    async with http_of(gateway, "demo-pro") as http:
        async with http.stream("GET", f"{URL}/{turn}/events") as stream:
            assert isinstance(stream, httpx.Response)
            await anext(stream.aiter_lines())

        assert (await http.get("/api/v1/me")).status_code == 200
