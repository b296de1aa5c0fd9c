"""Source: DESIGN.md, section 2: all lasting context lives in the user's workspace; here a real one."""

from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from accounts.licences import active_licence
from accounts.models import UserLicence
from agents import harness
from agents.history import append_turn
from agents.journal import clear_memory
from agents.tests.engine import TestWorker, say
from agents.turns import Accepted
from channels_app.tests.live import Client, client_of, http_of
from provisioning.workspaces import stop_workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def workspace(gateway: str) -> AsyncIterator[str]:
    """The gateway, with `demo-pro` having a workspace of their own, stopped at the end."""
    await sync_to_async(UserLicence.objects.filter(user_id="demo-pro").update)(mcp_server_url="")
    yield gateway
    await harness.close()
    await stop_workspace("demo-pro")


async def _ready(client: Client) -> list[str]:
    """Wait for the workspace; its stages."""
    stages = []
    while "ready" not in stages:
        stages.append((await client.until("status"))["state"])
    return stages


async def _stored(worker: TestWorker, text: str) -> tuple[str, str]:
    """A turn that is answered, stored in the workspace and past its journal; and its conversation."""
    accepted = await _answered(worker, text)
    licence, messages = await active_licence("demo-pro"), worker.brain.stored[accepted.turn]
    await append_turn(licence, accepted.conversation, accepted.turn, messages)
    return accepted.turn, accepted.conversation


async def _answered(worker: TestWorker, text: str) -> Accepted:
    """A turn that the gateway has erased, and whose journal is no more."""
    accepted = await say("Hello")
    await worker.claim()
    await worker.order(accepted.turn, "say", text)
    await worker.order(accepted.turn, "finish")
    await worker.done(accepted.turn)
    clear_memory()
    return accepted


async def test_a_workspace_starts_with_the_socket_and_keeps_what_was_said(workspace: str, worker: TestWorker) -> None:
    async with client_of(workspace, "demo-pro") as client:
        assert (await client.next())["type"] == "ready"
        assert "starting" in await _ready(client)
        turn, conversation = await _stored(worker, "Hi there")

        await client.send("history", conversation="main")
        page = await client.until("history")
        assert [(item["role"], item["content"]) for item in page["items"]] == [
            ("user", "Hello"),
            ("assistant", "Hi there"),
        ]
        assert {item["turn"] for item in page["items"]} == {turn}
        assert page["before"] is None
        ended = page["turns"][turn]
        assert (ended["state"], ended["error"]) == ("done", None)
        assert ended["ms"] >= 0

        client.frames.clear()
        await client.send("resume", turn=turn, after=1)
        await client.until("done")
        assert [(event["type"], event["content"], event["seq"]) for event in client.events(turn)] == [
            ("snapshot", "Hi there", 3),
            ("done", "Hi there", 4),
        ]

        lost = await _answered(worker, "in no history")
        await client.send("resume", turn=lost.turn, after=0, id="r1")
        error = await client.until("error")
        assert (error["code"], error["id"]) == ("gone", "r1")

    async with http_of(workspace, "demo-pro") as http:
        assert (await http.get(f"/api/v1/turns/{lost.turn}/events")).status_code == 410
        url = f"/api/v1/conversations/{conversation}"
        whole = (await http.get(url)).json()
        assert [item["content"] for item in whole["items"]] == ["Hello", "Hi there"]
        assert whole["turns"][turn] == ended
        newest = (await http.get(url, params={"limit": 1})).json()
        assert [item["content"] for item in newest["items"]] == ["Hi there"]
        older = (await http.get(url, params={"limit": 1, "before": newest["before"]})).json()
        assert [item["content"] for item in older["items"]] == ["Hello"]

        assert (await http.delete(url)).status_code == 204
        assert (await http.get(url)).status_code == 404

    async with client_of(workspace, "demo-pro") as client:
        await client.send("resume", turn=turn, after=0, id="r1")
        assert (await client.until("error"))["code"] == "not_found"


async def test_a_turn_that_only_the_workspace_holds_is_shown_with_its_words(workspace: str, worker: TestWorker) -> None:
    turn, _ = await _stored(worker, "All of it.")

    async with http_of(workspace, "demo-pro") as http:
        found = (await http.get(f"/api/v1/turns/{turn}")).json()

    assert (found["content"], found["answer"], found["state"]) == ("Hello", "All of it.", "done")
