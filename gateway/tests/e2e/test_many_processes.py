"""Two servers, a Daphne and two workers share one PostgreSQL and one Valkey.

Source: DESIGN.md, section 9: with REDIS_URL any number of web and worker processes share the work.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.tests.e2e.clients import chat
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.peers import Model
from gateway.tests.e2e.processes import Deployment, Process, Server, until

TOKENS = 60
SLOW_MS = 500
STOPS_WITHIN_S = 10
# A lease is 10 s; then the turn begins again and ends at once.
TAKEOVER_S = 15


@dataclass
class Fleet:
    """The processes, and how the first server's health was before there was a worker."""

    running: Deployment
    one: Server
    other: Server
    daphne: Server
    workers: list[Process]
    without_worker: httpx.Response

    def worker_of(self, turn: str) -> Process:
        """The worker that runs the turn."""
        name = self.running.ask(
            "SELECT l.name FROM turns t JOIN worker_leases l ON l.id = t.holder WHERE t.id = %s", turn
        )
        (found,) = [each for each in self.workers if str(name).endswith(f":{each.popen.pid}")]
        return found

    def last_worker(self) -> Process:
        """The worker that lives, once it is the only one."""
        (found,) = [each for each in self.workers if each.popen.poll() is None]
        return found


@pytest.fixture(scope="module")
def fleet(deploy: Deploy, redis_url: str) -> Iterator[Fleet]:
    with deploy("many", REDIS_URL=redis_url) as running:
        one, other = running.launch("--no-worker"), running.launch("--no-worker")
        daphne = running.launch_daphne()
        until(lambda: all(each.answers("/health/live") for each in (one, other, daphne)), what="the servers")
        without_worker = one.get("/health")
        workers = [running.manage("run_worker") for _ in range(2)]
        until(lambda: running.ask("SELECT count(*) FROM worker_leases") == 2, what="the workers")
        yield Fleet(running, one, other, daphne=daphne, workers=workers, without_worker=without_worker)


def test_a_server_is_not_ready_until_there_is_a_worker(fleet: Fleet) -> None:
    assert fleet.without_worker.status_code == 503
    assert fleet.without_worker.json()["checks"] == {"postgresql": "ok", "redis": "ok", "worker": "down"}
    assert fleet.one.get("/health").status_code == 200


async def test_two_tabs_on_two_servers_see_one_stream_of_a_worker_elsewhere(fleet: Fleet, answer: str) -> None:
    async with chat(fleet.one, "demo-pro") as tab, chat(fleet.other, "demo-pro") as other_tab:
        turn = await tab.begin("Hello, both!")
        await tab.end_of(turn)
        await other_tab.end_of(turn)

    assert tab.shown(turn) == answer
    assert other_tab.events(turn) == tab.events(turn)
    assert tab.numbers(turn) == list(range(1, len(tab.numbers(turn)) + 1))


async def test_a_turn_is_stopped_from_another_server(fleet: Fleet, llm: Model) -> None:
    llm.write(TOKENS, delay_ms=SLOW_MS)
    async with chat(fleet.one, "demo-pro") as tab, chat(fleet.other, "demo-pro") as other_tab:
        turn = await tab.begin("Tell me.")
        await tab.shows(turn, "tok1 ")
        await other_tab.send("cancel", turn=turn)

        last = await tab.end_of(turn)
        assert last["type"] == "cancelled"
        assert last["content"] == tab.shown(turn)
        assert await other_tab.end_of(turn) == last


async def test_daphne_serves_the_same_application(fleet: Fleet, answer: str) -> None:
    assert fleet.daphne.get("/signin/").is_success
    assert fleet.daphne.get("/health").status_code == 200
    async with chat(fleet.daphne, "demo-pro") as client:
        turn = await client.begin("Hello, Daphne!")
        await client.end_of(turn)

    assert client.shown(turn) == answer


async def test_daphne_refuses_a_bad_token_with_403(fleet: Fleet) -> None:
    """It has no way to answer an upgrade with another status."""
    url = f"ws://127.0.0.1:{fleet.daphne.port}/ws/chat"
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, additional_headers={"Authorization": "Bearer guessed"}, proxy=None):
            pass

    assert refusal.value.response.status_code == 403


async def test_a_killed_workers_turn_is_finished_by_the_other(fleet: Fleet, llm: Model) -> None:
    text = llm.write(TOKENS, delay_ms=SLOW_MS)
    async with chat(fleet.one, "demo-enterprise") as tab, chat(fleet.other, "demo-enterprise") as other_tab:
        turn = await tab.begin("Tell me.")
        await tab.shows(turn, "tok1 ")
        fleet.worker_of(turn).kill()
        killed = time.monotonic()
        llm.write(TOKENS)
        done = await tab.end_of(turn)
        taken = time.monotonic() - killed
        await other_tab.end_of(turn)

    assert (done["type"], done["content"]) == ("done", text)
    assert taken < TAKEOVER_S
    assert tab.shown(turn) == text
    assert tab.kinds(turn).count("snapshot") == tab.kinds(turn).count("done") == 1
    assert other_tab.events(turn) == tab.events(turn)
    assert tab.numbers(turn) == sorted(set(tab.numbers(turn)))


@pytest.mark.parametrize("name", ["one", "other", "daphne", "worker"])
def test_a_process_that_is_asked_to_end_does_so(fleet: Fleet, name: str) -> None:
    """What an orchestrator sends; a server's workspaces are ended by the last worker."""
    process = fleet.last_worker() if name == "worker" else getattr(fleet, name)

    assert process.stop(signal.SIGTERM, within_s=STOPS_WITHIN_S) == 0

    if name == "worker":
        # Also those of the worker that was killed before.
        assert fleet.running.left() == []
