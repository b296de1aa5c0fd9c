"""One message through two channels, to a model that speaks OpenAI's format and back.

Source: DESIGN.md, section 2, and the customer's first demand: a plain client says hello and gets a streamed answer.
"""

import asyncio
import itertools
import json
import subprocess
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from channels_app.tests.schemas import check_server_frame
from gateway.testing.node import node
from gateway.tests.e2e.clients import chat, post, update
from gateway.tests.e2e.databases import ACCOUNTS
from gateway.tests.e2e.peers import BotApi, Model
from gateway.tests.e2e.processes import WEBHOOK_SECRET, Deployment, Server, http, until

CLIENT = Path(__file__).with_name("ws_client.mjs")
PRO, ENTERPRISE, STRANGER = ACCOUNTS["demo-pro"], ACCOUNTS["demo-enterprise"], 7999


def test_a_plain_client_in_node_says_hello_and_gets_a_streamed_answer(gateway: Server, answer: str) -> None:
    command = [node(), str(CLIENT), f"ws://127.0.0.1:{gateway.port}/ws/chat", "Hello, AI!"]
    environment = {"TOKEN": gateway.token("demo-pro")}

    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, check=True)

    frames = [json.loads(line) for line in ran.stdout.splitlines()]
    for frame in frames:
        check_server_frame(frame)
    told = [frame for frame in frames if frame["type"] != "status"]
    kinds = [kind for kind, _ in itertools.groupby(frame["type"] for frame in told)]
    assert kinds == ["ready", "accepted", "user_message", "started", "token", "done"]
    assert "".join(frame["content"] for frame in told if frame["type"] == "token") == answer
    assert (told[-1]["content"], told[-1]["model"]) == (answer, "openai/stub")
    assert told[-1]["usage"]["output_tokens"] == len(answer.split())


def test_a_message_in_telegram_is_answered_in_its_chat(gateway: Server, telegram: BotApi, answer: str) -> None:
    assert post(gateway, update(1, "Hello, AI!", account=PRO)).status_code == 200

    until(lambda: telegram.texts(PRO) == [answer.strip()], what="the answer, alone")


async def test_fifty_identical_posts_at_once_are_one_turn_and_one_answer(
    gateway: Server, shared: Deployment, telegram: BotApi, llm: Model, answer: str
) -> None:
    asked_before = llm.requests()
    body = update(50, "Only once, please.", account=ENTERPRISE)
    async with httpx.AsyncClient(headers={"X-Telegram-Bot-Api-Secret-Token": WEBHOOK_SECRET}) as client:
        posts = [client.post(f"{gateway.url}/webhook/telegram", json=body) for _ in range(50)]
        answers = await asyncio.gather(*posts)

    assert [each.status_code for each in answers] == [200] * 50
    until(lambda: telegram.texts(ENTERPRISE), what="the answer")
    # A later message's answer comes after all that the fifty could still lead to in this chat.
    post(gateway, update(51, "And now?", account=ENTERPRISE))
    until(lambda: telegram.texts(ENTERPRISE) == [answer.strip()] * 2, what="the next answer, and no other")
    assert shared.ask("SELECT count(*) FROM turns WHERE user_id = 'demo-enterprise'") == 2
    assert llm.requests() == asked_before + 2


def test_a_stranger_is_told_once_how_to_link(gateway: Server, telegram: BotApi) -> None:
    for number in (60, 61, 62):
        assert post(gateway, update(number, "Hello?", account=STRANGER)).status_code == 200

    until(lambda: telegram.texts(STRANGER), what="the hint")
    assert [str(STRANGER) in text for text in telegram.texts(STRANGER)] == [True]


def test_without_the_secret_the_answer_does_not_wait_for_the_body(gateway: Server) -> None:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.putrequest("POST", "/webhook/telegram")
    connection.putheader("X-Telegram-Bot-Api-Secret-Token", "guessed")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()

    assert connection.getresponse().status == 401
    connection.close()


def test_a_body_of_2_mib_is_refused(gateway: Server) -> None:
    assert post(gateway, b"x" * (2 * 1024 * 1024)).status_code == 413


def _pieces() -> "itertools.repeat[bytes]":
    return itertools.repeat(b"x" * 64 * 1024, 32)


def test_a_body_of_2_mib_that_announces_no_length_is_refused(gateway: Server) -> None:
    headers = {"X-Telegram-Bot-Api-Secret-Token": WEBHOOK_SECRET}

    assert http.post(f"{gateway.url}/webhook/telegram", headers=headers, content=_pieces()).status_code == 413


def test_health_tells_of_channels_and_providers(gateway: Server) -> None:
    told = gateway.get("/health").json()

    assert told["status"] == "ok"
    assert told["checks"] == {"postgresql": "ok", "worker": "ok"}
    assert told["channels"]["telegram"] == "on"
    assert told["providers"]["openai"] == "on"
    assert told["providers"]["anthropic"] == "off"


@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_health_is_only_read(gateway: Server, path: str) -> None:
    assert http.post(f"{gateway.url}{path}").status_code == 405


def test_a_start_over_http_says_that_it_has_begun(gateway: Server) -> None:
    headers = {"Authorization": f"Bearer {gateway.token('demo-free')}"}
    url = f"{gateway.url}/api/v1/workspace"
    assert http.post(url, json={"action": "stop"}, headers=headers).json()["state"] == "stopped"

    answer = http.post(url, json={"action": "start"}, headers=headers)

    assert answer.status_code == 202
    assert answer.json()["state"] == "starting"


async def test_metrics_count_what_was_answered(gateway: Server, answer: str) -> None:
    before = _series(gateway)
    async with chat(gateway, "demo-pro") as client:
        await client.end_of(await client.begin("Count me."))

    after = _series(gateway)
    for name in ("turns_total", "first_token_seconds_count", "queue_wait_seconds_count"):
        assert after[f"dexorder_{name}"] == before.get(f"dexorder_{name}", 0) + 1


def _series(server: Server) -> dict[str, float]:
    """The sums of the gateway's own series by their names."""
    sums: dict[str, float] = {}
    for line in server.get("/metrics").text.splitlines():
        if line.startswith("dexorder_"):
            name = line.partition(" ")[0].partition("{")[0]
            sums[name] = sums.get(name, 0) + float(line.rpartition(" ")[2])
    return sums
