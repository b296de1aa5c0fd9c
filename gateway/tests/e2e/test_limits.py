"""Limits over three real processes that share one PostgreSQL. Source: DESIGN.md, section 5."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from gateway.tests.e2e.clients import Chat, chat, update
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.databases import ACCOUNTS
from gateway.tests.e2e.peers import BotApi, Model
from gateway.tests.e2e.processes import WEBHOOK_SECRET, Deployment, Server, until

USER = "demo-enterprise"
LIMIT, SENT = 10, 50
SECRET = {"X-Telegram-Bot-Api-Secret-Token": WEBHOOK_SECRET}


@pytest.fixture(scope="module")
def three(deploy: Deploy, redis_url: str) -> Iterator[tuple[Deployment, list[Server]]]:
    with deploy("limits", REDIS_URL=redis_url) as running:
        servers = [running.launch() for _ in range(3)]
        until(lambda: all(each.answers("/health") for each in servers), what="the servers")
        yield running, servers


def limit(running: Deployment, **limits: str) -> None:
    """Change the user's licence with the command for it."""
    options = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
    assert running.manage("set_licence", USER, *options).ended() == 0


def empty(running: Deployment) -> None:
    """Forget what was used before."""
    with psycopg.connect(running.database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM accepted_messages")


async def test_of_fifty_messages_at_once_over_socket_rest_and_telegram_exactly_ten_are_accepted(
    three: tuple[Deployment, list[Server]], telegram: BotApi, answer: str
) -> None:
    running, servers = three
    limit(running, messages_per_minute=str(LIMIT), turns_at_once="null")
    empty(running)
    before = running.ask("SELECT count(*) FROM turns")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        sockets = [await stack.enter_async_context(chat(server, USER)) for server in servers]
        headers = {"Authorization": f"Bearer {servers[0].token(USER)}"}

        async def send(number: int) -> Any:
            server = servers[number % 3]
            if number < 20:
                return await http.post(f"{server.url}/api/v1/turns", json={"content": "Hello"}, headers=headers)
            if number < 35:
                body = update(900 + number, "Hello", account=ACCOUNTS[USER])
                return await http.post(f"{server.url}/webhook/telegram", json=body, headers=SECRET)
            return await sockets[number % 3].send("message", content="Hello", id=f"m{number}")

        sent = await asyncio.gather(*(send(number) for number in range(SENT)))
        told = [frame for socket in sockets for frame in await _answers(socket, 5)]

    posts = [each.status_code for each in sent[:20]]
    in_chat = running.ask("SELECT count(*) FROM turns WHERE channel = 'telegram'")
    assert running.ask("SELECT count(*) FROM turns") == before + LIMIT  # type: ignore[operator]  # a count
    assert {each.status_code for each in sent[20:35]} == {200}
    assert set(posts) <= {202, 429}
    assert posts.count(202) + in_chat + sum(frame["type"] == "accepted" for frame in told) == LIMIT  # type: ignore[operator]
    assert {frame["code"] for frame in told if frame["type"] == "error"} <= {"rate_limited"}
    if in_chat != 15:
        until(lambda: _refusals(telegram), what="the chat's sentence")
        assert len(_refusals(telegram)) == 1
    until(lambda: _open_turns(running) == 0, what="the answers")


async def test_a_flush_of_redis_gives_nobody_a_message_more(
    three: tuple[Deployment, list[Server]], redis_url: str, answer: str
) -> None:
    """A message that was accepted is counted, and known again, by the database alone."""
    running, servers = three
    limit(running, messages_per_minute="2", turns_at_once="null")
    empty(running)
    headers = {"Authorization": f"Bearer {servers[0].token(USER)}"}
    async with httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as http:
        asked = [("a", 202), ("b", 202), ("c", 429), ("a", 202)]
        for flushed in (False, True):
            if flushed:
                until(lambda: _open_turns(running) == 0, what="the answers")
                Redis.from_url(redis_url).flushall()
            for number, (word, status) in enumerate(asked):
                url = f"{servers[number % 3].url}/api/v1/turns"
                assert (await http.post(url, json={"id": word, "content": word})).status_code == status

    assert running.ask("SELECT count(*) FROM accepted_messages WHERE user_id = %s", USER) == 2


async def test_parallel_turns_on_a_nearly_empty_budget_overspend_by_one_step_at_the_most(
    three: tuple[Deployment, list[Server]], llm: Model
) -> None:
    """The budget is that of a few steps; each turn is one."""
    running, servers = three
    llm.write(100)
    limit(running, messages_per_minute="null", turns_at_once="null", tokens_per_month="null")
    empty(running)
    headers = {"Authorization": f"Bearer {servers[0].token(USER)}"}
    async with httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as http:
        await _ask_in_a_new_conversation(http, servers[0])
        until(lambda: _open_turns(running) == 0, what="the first answer")
        used = _used(running)
        one_step = _tokens_of_the_last_turn(running)
        budget = used + one_step // 2
        limit(running, tokens_per_month=str(budget))
        await asyncio.gather(*(_ask_in_a_new_conversation(http, servers[number % 3]) for number in range(20)))

    until(lambda: _open_turns(running) == 0, what="the end of all")
    # Two questions of the same words differ by what the prompt says of the day.
    assert budget < _used(running) <= budget + one_step * 1.1
    assert running.ask("SELECT sum(tokens_reserved) FROM budgets") == 0
    assert running.ask("SELECT count(*) FROM budget_reservations") == 0


async def _ask_in_a_new_conversation(http: httpx.AsyncClient, server: Server) -> None:
    made = (await http.post(f"{server.url}/api/v1/conversations", json={})).json()
    await http.post(f"{server.url}/api/v1/turns", json={"content": "Hello", "conversation": made["id"]})


async def _answers(socket: Chat, count: int) -> list[dict[str, Any]]:
    return [await socket.until("accepted", "error") for _ in range(count)]


def _refusals(telegram: BotApi) -> list[str]:
    return [text for text in telegram.texts(ACCOUNTS[USER]) if "limit of your licence" in text]


def _open_turns(running: Deployment) -> object:
    return running.ask("SELECT count(*) FROM turns WHERE state NOT IN ('done', 'failed', 'cancelled')")


def _tokens_of_the_last_turn(running: Deployment) -> int:
    found = running.ask(
        "SELECT (usage->>'input_tokens')::int + (usage->>'output_tokens')::int FROM turns WHERE state = 'done'"
        " ORDER BY accepted_at DESC LIMIT 1"
    )
    return int(str(found))


def _used(running: Deployment) -> int:
    return int(str(running.ask("SELECT tokens_used FROM budgets WHERE user_id = %s", USER)))
