"""What each way in says at a limit. Source: DESIGN section 5; docs/protocol.md, What a licence limits."""

import asyncio
import csv
import json
import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import httpx
import pytest

from agents.tests.engine import TestWorker, say
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.live import error_code, http_of, ready_client
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNT = 7
TURNS, USAGE = "/api/v1/turns", "/api/v1/usage"


async def limit(**limits: Any) -> None:
    await rows(f"UPDATE user_licenses SET resource_limits = '{json.dumps(limits)}'")


async def in_telegram(http: httpx.AsyncClient, number: int, text: str = "Hello") -> int:
    body = update(text=text) | {"update_id": number}
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    return (await http.post("/webhook/telegram", json=body, headers=headers)).status_code


async def said() -> list[str]:
    return [row[0] for row in await rows("SELECT body->>'text' FROM deliveries ORDER BY id")]


async def test_fifty_at_once_over_socket_rest_and_telegram_get_ten_through(gateway: str, bot_api: BotApi) -> None:
    """In one process; the end-to-end tests have it over three."""
    await link("demo-pro", ACCOUNT)
    await limit(messages_per_minute=10)
    async with ready_client(gateway, "demo-pro") as client, http_of(gateway, "demo-pro") as http:
        posts = [http.post(TURNS, json={"content": "Hello"}) for _ in range(17)]
        updates = [in_telegram(http, number) for number in range(16)]
        frames = [client.send("message", content="Hello", id=f"m{number}") for number in range(17)]
        answers, statuses, _ = await asyncio.gather(
            asyncio.gather(*posts), asyncio.gather(*updates), asyncio.gather(*frames)
        )
        told = [await client.until("accepted", "error") for _ in range(17)]

    assert await rows("SELECT count(*) FROM turns WHERE state = 'queued'") == [(10,)]
    assert await rows("SELECT count(*) FROM accepted_messages") == [(10,)]
    assert statuses == [200] * 16
    in_chat = (await rows("SELECT count(*) FROM turns WHERE channel = 'telegram'"))[0][0]
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len(accepted) + in_chat + sum(frame["type"] == "accepted" for frame in told) == 10
    assert {error_code(answer, 429) for answer in answers if answer not in accepted} == {"rate_limited"}
    assert {frame["code"] for frame in told if frame["type"] == "error"} == {"rate_limited"}
    assert len(await said()) == 1


async def test_a_socket_is_told_what_when_and_for_which_frame(gateway: str) -> None:
    await limit(messages_per_minute=1)
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", content="one")
        await client.until("accepted")
        await client.send("message", content="two", id="m2")
        error = await client.until("error")

    assert (error["code"], error["id"]) == ("rate_limited", "m2")
    assert 0 < error["retry_after_s"] <= 60
    assert re.search(r"1 message a minute\. You can write again in \d+ seconds?\. The Enterprise", error["message"])


async def test_http_carries_retry_after_and_the_windows(gateway: str) -> None:
    """Source: draft-ietf-httpapi-ratelimit-headers-10."""
    await limit(messages_per_minute=2, messages_per_day=None)
    async with http_of(gateway, "demo-pro") as http:
        first = await http.post(TURNS, json={"content": "one", "id": "1"})
        again = await http.post(TURNS, json={"content": "one", "id": "1"})
        second = await http.post(TURNS, json={"content": "two"})
        third = await http.post(TURNS, json={"content": "three"})

    assert first.headers["RateLimit-Policy"] == '"minute";q=2;w=60'
    assert re.fullmatch(r'"minute";r=1;t=(59|60)', first.headers["RateLimit"])
    assert again.status_code == 202
    assert "RateLimit" not in again.headers
    assert second.headers["RateLimit"].startswith('"minute";r=0;t=')
    assert error_code(third, 429) == "rate_limited"
    assert third.headers["RateLimit"].startswith('"minute";r=0;t=')
    assert third.headers["RateLimit"].rpartition("=")[2] == third.headers["Retry-After"]


async def test_without_limits_there_are_no_such_headers(gateway: str) -> None:
    await limit(messages_per_minute=None, messages_per_day=None)
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post(TURNS, json={"content": "one"})

    assert answer.status_code == 202
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_a_chat_is_told_once_until_the_limit_resets(gateway: str, bot_api: BotApi) -> None:
    await link("demo-pro", ACCOUNT)
    await limit(messages_per_minute=1)
    async with http_of(gateway) as http:
        for number in range(5):
            assert await in_telegram(http, number) == 200
        assert await said() == [(await said())[0]]
        assert "You can write again in" in (await said())[0]

        await rows("UPDATE told_limits SET until = until - interval '61 seconds'")
        await in_telegram(http, 6)

    assert len(await said()) == 2


async def test_a_chat_on_a_channel_that_is_not_included_is_told_so(gateway: str, bot_api: BotApi) -> None:
    await link("demo-pro", ACCOUNT)
    await rows("""UPDATE user_licenses SET features = '{"channels": ["web"]}'""")
    async with http_of(gateway) as http:
        for number in range(3):
            await in_telegram(http, number)

    (sentence,) = await said()
    assert sentence == "Your Pro licence does not include Telegram as a channel. Your administrator can change that."
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


async def test_the_page_on_a_licence_without_it_is_refused_in_http(gateway: str) -> None:
    await rows("""UPDATE user_licenses SET features = '{"channels": ["telegram"]}'""")
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.post(TURNS, json={"content": "Hello"}), 403) == "not_included"


async def test_usage_is_told_as_json(gateway: str, worker: TestWorker) -> None:
    turn = (await say("Hello", channel="telegram")).turn
    await worker.claim()
    await worker.order(turn, "ask", "100")
    await worker.order(turn, "pay", "1000+200+10")
    await worker.order(turn, "finish")
    await worker.done(turn)
    async with http_of(gateway, "demo-pro") as http:
        found = (await http.get(USAGE)).json()

    today = datetime.now(UTC).date().isoformat()
    assert found["until"] == today
    assert found["total"] == {
        "input_tokens": 1000, "cached_tokens": 200, "output_tokens": 10, "cost_usd": 0.00101, "turns": 1, "failed_turns": 0,
        "tool_calls": 1, "workspace_minutes": 0,
    }  # fmt: skip
    assert {(line["day"], line["model"], line["channel"]) for line in found["days"]} == {
        (today, "test/priced", "telegram"),
        (today, "demo/demo", "telegram"),
    }
    assert found["limits"]["messages"][0] | {"resets_at": None} == {
        "window": "minute", "seconds": 60, "limit": 60, "used": 1, "resets_at": None,
    }  # fmt: skip
    assert found["limits"]["tokens_per_month"]["limit"] == 20_000_000
    assert found["limits"]["tokens_per_month"]["used"] == 1010
    assert found["limits"]["turns_at_once"] == 4


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
async def test_usage_is_exported_as_a_table(gateway: str, worker: TestWorker, how: dict[str, Any]) -> None:
    await rows(
        "INSERT INTO usage (user_id, day, model, channel, input_tokens, cost_usd, workspace_s) VALUES"
        " ('demo-pro', current_date, 'a/b', 'web', 7, 0.5, 0), ('demo-pro', current_date, '', '', 0, 0, 90),"
        " ('demo-free', current_date, 'a/b', 'web', 9, 0.5, 0)"
    )
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.get(USAGE, **how)

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert re.search(r'attachment; filename="dexorder-usage-[\d-]+\.csv"', answer.headers["Content-Disposition"])
    table = list(csv.DictReader(StringIO(answer.text)))
    assert [(line["model"], line["input_tokens"], line["workspace_minutes"]) for line in table] == [
        ("", "0", "1.5"),
        ("a/b", "7", "0.0"),
    ]


@pytest.mark.parametrize("model", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", 'a/",=1'])
async def test_no_cell_of_the_table_is_a_formula(gateway: str, model: str) -> None:
    """Source: OWASP, CSV Injection: staff open what a user may have named."""
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO usage (user_id, day, model, channel) VALUES ('demo-pro', current_date, %s, 'web')", (model,)
        )
    async with http_of(gateway, "demo-pro") as http:
        (line,) = csv.DictReader(StringIO((await http.get(USAGE, params={"format": "csv"})).text, newline=""))

    assert line["model"] == (model if model[0] == "a" else f"'{model}")
    assert line["channel"] == "web"


@pytest.mark.parametrize(
    "period", [{"since": "x"}, {"since": "2026-02-01", "until": "2026-01-01"}, {"since": "2020-01-01"}]
)
@pytest.mark.parametrize("form", ["json", "csv"])
async def test_a_period_that_can_not_be_is_400(gateway: str, period: dict[str, str], form: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.get(USAGE, params=period | {"format": form})

    assert error_code(answer, 400) == "invalid"
    assert answer.headers["Content-Type"] == "application/json"


async def test_usage_is_shown_without_a_licence_and_to_nobody_without_a_token(gateway: str) -> None:
    async with http_of(gateway, "demo-expired") as http:
        found = (await http.get(USAGE)).json()
    async with http_of(gateway) as http:
        stranger = await http.get(USAGE)

    assert (found["limits"], found["days"]) == (None, [])
    assert error_code(stranger, 401) == "unauthorized"
