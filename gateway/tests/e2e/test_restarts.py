"""The one process of a laptop is killed or stopped in the middle of an answer, and started again.

Source: DESIGN.md, section 2 (a killed worker's turns are taken over) and section 9 (one process without REDIS_URL).
"""

import asyncio
import socket

import httpx
import pytest

from gateway.embedded.ports import free_port
from gateway.tests.e2e.clients import PATIENCE_S, chat, post, update
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.databases import ACCOUNTS
from gateway.tests.e2e.peers import BotApi, Model
from gateway.tests.e2e.processes import Deployment, Server, command_line, until

TOKENS = 60
# At this pace an answer would take half a minute: the gateway never ends before it.
SLOW_MS = 500
STOPS_WITHIN_S = 10
ENTERPRISE = ACCOUNTS["demo-enterprise"]
BEGUN = "SELECT count(*) FROM deliveries WHERE kind = 'preview' AND receipt <> ''"


async def test_after_a_kill_every_answer_is_given_whole_and_once(deploy: Deploy, llm: Model, telegram: BotApi) -> None:
    text = llm.write(TOKENS, delay_ms=SLOW_MS)
    with deploy("killed") as running:
        server = running.serve()
        post(server, update(1, "Tell me, too.", account=ENTERPRISE))
        async with chat(server, "demo-pro") as page:
            turn = await page.begin("Tell me.")
            await page.shows(turn, "tok1 ")
            until(lambda: _at_work(running) == 2, what="the turn from Telegram")
            # Without it nobody would know which message to go on in.
            until(lambda: running.ask(BEGUN) == 1, within_s=PATIENCE_S, what="the receipt of its first words")
            server.kill()
        llm.write(TOKENS)
        server = await asyncio.to_thread(running.serve)

        async with chat(server, "demo-pro") as again:
            assert again.frames[-1]["running"] == [turn]
            await again.resume(turn, page)
            done = await again.end_of(turn)

        assert (done["type"], done["content"]) == ("done", text)
        assert again.shown(turn) == text
        assert again.kinds(turn).count("done") == 1
        assert again.kinds(turn)[len(page.events(turn)) :].count("snapshot") == 1
        assert again.numbers(turn) == sorted(set(again.numbers(turn)))
        until(lambda: _at_work(running) == 0, what="the end of all turns")
        # What the one before had begun to write is what it ends in.
        whole = [text.strip()]
        until(lambda: telegram.texts(ENTERPRISE) == whole, within_s=PATIENCE_S, what="the answer in Telegram")
        assert _sidecars(running) == running.ask("SELECT count(*) FROM workspaces WHERE state = 'ready'") == 2


async def test_ctrl_c_ends_everything_and_the_answer_goes_on_at_the_next_start(deploy: Deploy, llm: Model) -> None:
    text = llm.write(TOKENS, delay_ms=SLOW_MS)
    with deploy("stopped") as running:
        server = running.serve()
        async with chat(server, "demo-pro") as page:
            turn = await page.begin("Tell me.")
            await page.shows(turn, "tok1 ")
            stopped = asyncio.create_task(asyncio.to_thread(server.stop, within_s=STOPS_WITHIN_S))
            assert (await page.closed())[0] == 1012
        assert await stopped == 0
        assert running.left() == []
        llm.write(TOKENS)
        server = await asyncio.to_thread(running.serve)

        async with chat(server, "demo-pro") as again:
            await again.resume(turn, page)
            await again.end_of(turn)

        assert again.shown(turn) == text
        assert again.kinds(turn).count("done") == 1


@pytest.mark.parametrize("command", [("serve", "--port=0"), ("run_worker",), ("up",)])
def test_without_redis_a_second_process_refuses_to_start(
    gateway: Server, shared: Deployment, command: tuple[str, ...]
) -> None:
    second = shared.manage(*command)

    assert second.ended() == 1
    assert "Another process of the gateway runs on this database." in second.printed()
    where = f"It runs at http://localhost:{gateway.port}/ as process {gateway.popen.pid}:"
    assert f"{where} Ctrl-C in its terminal or `kill {gateway.popen.pid}` stops it." in second.printed()
    assert "Chat:" not in second.printed()
    assert "Traceback" not in second.printed()
    assert gateway.get("/health").status_code == 200


@pytest.mark.parametrize("command", ["serve", "up", "run_worker"])
def test_a_port_that_is_taken_is_said_in_words_and_nothing_is_left(deploy: Deploy, command: str) -> None:
    with deploy(f"taken_{command}") as running, socket.create_server(("127.0.0.1", 0)) as other:
        port = running.environment["PORT"] = str(other.getsockname()[1])

        second = running.manage(command, *(["--metrics-port", port] if command == "run_worker" else []))

        assert second.ended() == 1
        assert f"Port {port}: Another program listens there already." in second.printed()
        assert "Traceback" not in second.printed()
        assert "http://" not in second.printed()
        assert running.left() == []


@pytest.mark.parametrize("where", [("--port=99999",), ("--host=no.such.host.invalid",), ("--host=192.0.2.1",)])
def test_an_address_that_can_not_be_listened_at_is_said_in_words(deploy: Deploy, where: tuple[str, ...]) -> None:
    """Source: RFC 2606 for the name, RFC 5737 for the number: nobody has them."""
    with deploy(f"nowhere_{where[0][-2:].strip('.')}") as running:
        refused = running.manage("serve", *where)

        assert refused.ended() == 1
        assert "The address can't be listened at." in refused.printed()
        assert "Traceback" not in refused.printed()


def test_a_worker_tells_its_figures_and_says_at_once_that_it_stops(deploy: Deploy) -> None:
    with deploy("worker") as running:
        port = free_port()
        worker = running.manage("run_worker", f"--metrics-port={port}")
        until(lambda: "agent_ready" in worker.printed(), what="the worker")

        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert "dexorder_turns_in_flight 0.0" in told
        assert worker.stop(within_s=STOPS_WITHIN_S) == 0
        assert worker.printed().count("Stopping ...") == 1


def _at_work(running: Deployment) -> object:
    return running.ask("SELECT count(*) FROM turns WHERE state IN ('queued', 'running')")


def _sidecars(running: Deployment) -> int:
    return sum(b"--spawn" in command_line(pid) for pid in running.left())
