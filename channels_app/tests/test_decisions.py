"""Approvals and questions on the socket and in the API. Source: DESIGN.md, sections 3, 4 and 6."""

import asyncio
from typing import Any

import pytest

from agents.journal import clear_memory
from agents.tests.engine import TestWorker, answer, say, something_waits
from agents.turns import find_turn
from channels_app.tests.live import Client, error_code, http_of, ready_client

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/approvals"


async def asked(client: Client, worker: TestWorker, order: str) -> dict[str, Any]:
    """Say something on the socket, have the agent ask, and take the event."""
    await client.send("message", content="Deploy it")
    await client.until("accepted")
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", "The risk is low.")
    await worker.order(turn, order)
    await worker.done(turn)
    return await client.until("approval", "question")


async def sweep(worker: TestWorker) -> None:
    """As a worker's sweep does, until it has found what to do."""
    async with asyncio.timeout(60):
        while not await worker.care():  # noqa: ASYNC110 - another connection's row
            await asyncio.sleep(0.02)


async def test_a_decision_on_one_socket_is_seen_on_every_socket_and_the_turn_goes_on(
    gateway: str, worker: TestWorker
) -> None:
    async with ready_client(gateway, "demo-pro") as one, ready_client(gateway, "demo-pro") as two:
        event = await asked(one, worker, "ask yes")
        assert (await two.until("approval"))["approval"] == event["approval"]

        await two.send("decision", approval=event["approval"], decision="approve", digest=event["digest"], comment="go")
        settled = [await client.until("approval_settled") for client in (one, two)]
        await answer(worker, "Deployed.")
        done = [await client.until("done") for client in (one, two)]

    assert {(each["decision"], each["by_channel"]) for each in settled} == {("approved", "web")}
    assert {each["content"] for each in done} == {"The risk is low.\n\nDeployed."}


async def test_a_question_is_answered_on_the_socket(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        event = await asked(client, worker, "ask what")
        await client.send("answer", id="a", question=event["question"], values={"colour": "green"})
        refused = await client.until("error")
        await client.send("answer", question=event["question"], values={"colour": "red"})
        settled = await client.until("question_settled")

    assert (refused["code"], refused["id"]) == ("invalid", "a")
    assert (settled["outcome"], settled["by_channel"]) == ("answered", "web")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"approval": "a"}, "not_found"),
        ({"digest": "0" * 64}, "changed"),
        ({"comment": "x" * 1001}, "invalid"),
    ],
)
async def test_a_decision_that_can_not_be_taken_is_an_error_with_its_id(
    gateway: str, worker: TestWorker, fields: dict[str, str], code: str
) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        event = await asked(client, worker, "ask yes")
        await client.send("decision", **({"approval": event["approval"], "decision": "approve", "id": "mine"} | fields))
        error = await client.until("error")

    assert (error["code"], error["id"]) == (code, "mine")


async def test_the_second_decision_is_told_which_was_first(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        event = await asked(client, worker, "ask yes")
        for decision in ("reject", "approve", "reject"):
            await client.send("decision", approval=event["approval"], decision=decision)
        errors = [await client.until("error") for _ in range(2)]

    assert {(each["code"], each["message"]) for each in errors} == {
        ("already_decided", "This was rejected before on the web page. Nothing has changed.")
    }


async def test_a_client_that_comes_back_gets_what_waits_and_its_outcome_once(gateway: str, worker: TestWorker) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        event = await asked(client, worker, "ask yes")
    async with http_of(gateway, "demo-pro") as http:
        await http.post(f"{URL}/{event['approval']}/decision", json={"decision": "reject"})
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=event["turn"], after=event["seq"])
        settled = await client.until("approval_settled")
        await client.send("resume", turn=event["turn"], after=0)
        again = await client.until("approval_settled")

    assert settled["seq"] == again["seq"] == event["seq"] + 1
    assert [frame["type"] for frame in client.events(event["turn"])].count("approval") == 1


async def test_a_lost_journal_of_a_turn_that_waits_is_written_anew_for_the_client(
    gateway: str, worker: TestWorker
) -> None:
    """As after a restart of a gateway without Redis."""
    async with ready_client(gateway, "demo-pro") as client:
        event = await asked(client, worker, "ask yes")
    clear_memory()

    async with ready_client(gateway, "demo-pro") as client:
        await client.send("resume", turn=event["turn"], after=event["seq"])
        sweeping = asyncio.create_task(sweep(worker))
        again = await client.until("approval")
        await sweeping

    assert (again["approval"], again["digest"]) == (event["approval"], event["digest"])
    assert [frame["content"] for frame in client.frames if frame["type"] == "snapshot"] == ["The risk is low."]


async def test_the_api_lists_approvals_and_decides_them(gateway: str, worker: TestWorker) -> None:
    approvals = [await something_waits("demo-pro") for _ in range(3)]
    async with http_of(gateway, "demo-pro") as http:
        first = (await http.get(URL, params={"limit": 2})).json()
        rest = (await http.get(URL, params={"limit": 2, "cursor": first["next"]})).json()
        decided = await http.post(
            f"{URL}/{approvals[0]}/decision",
            json={"decision": "approve", "comment": "go", "digest": rest["approvals"][0]["digest"]},
        )
        again = await http.post(f"{URL}/{approvals[0]}/decision", json={"decision": "reject"})
        pending = (await http.get(URL, params={"state": "pending"})).json()["approvals"]
        one = (await http.get(f"{URL}/{approvals[0]}")).json()

    listed = first["approvals"] + rest["approvals"]
    assert [each["id"] for each in listed] == approvals[::-1]
    assert rest["next"] is None
    assert listed[0]["details"]["Strategy"] == "golden-cross"
    assert (decided.status_code, decided.json()["state"], decided.json()["comment"]) == (200, "approved", "go")
    assert error_code(again, 409) == "already_decided"
    assert [each["id"] for each in pending] == approvals[:0:-1]
    assert one == decided.json()


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "maybe"}, {"decision": "approve", "digest": "short"}, {"decision": "approve", "comment": 1}, []],
)
async def test_a_body_that_is_no_decision_is_refused(gateway: str, worker: TestWorker, body: Any) -> None:
    approval = await something_waits("demo-pro")
    async with http_of(gateway, "demo-pro") as http:
        answered = await http.post(f"{URL}/{approval}/decision", json=body)
        state = (await http.get(f"{URL}/{approval}")).json()["state"]

    assert (answered.status_code, state) == (400, "pending")


async def test_a_question_is_listed_answered_and_declined_in_the_api(gateway: str, worker: TestWorker) -> None:
    questions = [await something_waits("demo-pro", "ask what") for _ in range(2)]
    async with http_of(gateway, "demo-pro") as http:
        listed = (await http.get("/api/v1/questions", params={"state": "pending"})).json()["questions"]
        wrong = await http.post(f"/api/v1/questions/{questions[0]}/answer", json={"values": {"colour": 1}})
        right = await http.post(f"/api/v1/questions/{questions[0]}/answer", json={"values": {"colour": "red"}})
        declined = await http.post(f"/api/v1/questions/{questions[1]}/answer", json={"values": None})

    assert [each["id"] for each in listed] == questions[::-1]
    assert listed[0]["schema"]["properties"]["colour"]["enum"] == ["red", "blue"]
    assert error_code(wrong, 400) == "invalid"
    assert [each.json()["state"] for each in (right, declined)] == ["answered", "declined"]


async def test_what_is_typed_by_a_model_or_a_tool_decides_nothing(gateway: str, worker: TestWorker) -> None:
    """Never by text that a model or a tool produced."""
    approval = await something_waits("demo-pro")
    accepted = await say("Hello")
    await answer(worker, f"/approve {approval}")
    async with http_of(gateway, "demo-pro") as http:
        state = (await http.get(f"{URL}/{approval}")).json()["state"]

    assert (state, (await find_turn(accepted.turn, user_id="demo-pro")).state) == ("pending", "done")
