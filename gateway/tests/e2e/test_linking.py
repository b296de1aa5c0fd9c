"""A chat account is linked between Telegram and the account page in Chromium, by two processes of the gateway.

Source: docs/security.md, Who may speak through a chat app: a code is good for one use, however many try it at once.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from gateway.tests.e2e.clients import post, update
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.peers import BotApi
from gateway.tests.e2e.processes import WEBHOOK_SECRET, Deployment, Server, http, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
ACCOUNT = 8001


@pytest.fixture(scope="module")
def both(deploy: Deploy, redis_url: str) -> Iterator[tuple[Deployment, list[Server]]]:
    """Two processes on one database."""
    with deploy("linking", REDIS_URL=f"{redis_url}/5", TELEGRAM_BOT_USERNAME="dexorder_bot") as running:
        yield running, [running.serve(), running.serve()]


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, both: tuple[Deployment, list[Server]]) -> AsyncIterator[Page]:
    """The account page of demo-free."""
    opened = await context.new_page()
    await opened.goto(f"{both[1][0].url}/signin/?next=/account/")
    await opened.get_by_role("button", name="demo-free", exact=True).click()
    await expect(opened.get_by_role("heading", name="Chat apps")).to_be_visible()
    yield opened


async def test_a_chat_is_linked_used_and_unlinked(
    page: Page, both: tuple[Deployment, list[Server]], telegram: BotApi, answer: str, tmp_path: Path
) -> None:
    deployment, (_, other) = both
    await page.get_by_role("button", name="Link Telegram").click()
    opener = await page.get_by_role("link", name="Open Telegram").get_attribute("href")
    assert opener
    address, _, token = opener.partition("?start=")
    assert address == "https://t.me/dexorder_bot"

    post(other, update(1, f"/start {token}", account=ACCOUNT))
    await expect(page.get_by_role("heading", name="Link Telegram account A person?")).to_be_visible(timeout=10_000)
    await page.screenshot(path=tmp_path / "asked.png")
    assert "confirm" in await told(telegram, 1)
    assert deployment.ask("SELECT count(*) FROM user_channel_links WHERE user_id = 'demo-free'") == 1

    await page.get_by_role("button", name="Confirm").click()
    await expect(page.locator(".link")).to_have_count(2)
    assert "Linked" in await told(telegram, 2)
    post(other, update(2, "Hello, AI!", account=ACCOUNT))
    assert await told(telegram, 3) == answer.strip()

    await page.get_by_role("button", name="Unlink A person", exact=True).click()
    await page.get_by_role("button", name="Unlink A person now").click()
    await expect(page.locator(".link")).to_have_count(1)
    post(other, update(3, "Hello again!", account=ACCOUNT))
    assert "I don't know you yet" in await told(telegram, 4)
    assert deployment.ask("SELECT count(*) FROM turns WHERE user_id = 'demo-free'") == 1


async def test_two_hundred_redemptions_at_two_processes_make_one_link(
    page: Page, both: tuple[Deployment, list[Server]], tmp_path: Path
) -> None:
    deployment, servers = both
    bearer = {"Authorization": f"Bearer {servers[0].token('demo-enterprise')}"}
    code = http.post(f"{servers[0].url}/api/v1/links/codes", json={"channel": "telegram"}, headers=bearer).json()[
        "code"
    ]
    async with httpx.AsyncClient(headers={"X-Telegram-Bot-Api-Secret-Token": WEBHOOK_SECRET}, timeout=60) as client:
        posts = [
            client.post(
                f"{servers[number % 2].url}/webhook/telegram",
                json=update(1000 + number, f"/link {code}", account=9000 + number),
            )
            for number in range(200)
        ]
        answers = await asyncio.gather(*posts)
    assert {each.status_code for each in answers} == {200}

    (request,) = http.get(f"{servers[1].url}/api/v1/links", headers=bearer).json()["requests"]
    confirmed = [
        http.post(f"{server.url}/api/v1/links/{request['id']}/confirm", headers=bearer).status_code
        for server in servers
    ]

    assert confirmed == [200, 200]
    assert deployment.ask("SELECT count(*) FROM user_channel_links WHERE channel_user_id >= '9000'") == 1


async def told(telegram: BotApi, count: int) -> str:
    """The chat's latest message, once there are so many."""
    await asyncio.to_thread(until, lambda: len(telegram.texts(ACCOUNT)) >= count, what="the bot's words")
    assert len(telegram.texts(ACCOUNT)) == count
    return telegram.texts(ACCOUNT)[-1]
