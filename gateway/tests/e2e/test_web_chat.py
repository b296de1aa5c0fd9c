"""A day at the chat page: Chromium, the real gateway, a model that writes slowly, a server that is killed.

Source: DESIGN.md, sections 2 and 3: a disconnect never stops a turn, no gap, no repeat, any tab.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, Page, expect

from channels_app.tests.browser.conftest import PHONE, chromium, context
from gateway.embedded.ports import free_port
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.peers import Model
from gateway.tests.e2e.processes import Deployment, Server, until

__all__ = ["chromium", "context"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TOKENS = 40
# At this pace an answer takes long enough for all that is done meanwhile, unless it is hurried.
SLOW_MS = 400
PATIENCE_MS = 60_000


@dataclass
class Site:
    """A gateway at an address that stays its own when its server is killed."""

    running: Deployment
    port: int

    def serve(self) -> Server:
        started = self.running.manage("serve")
        server = Server(started.popen, started.log, port=self.port)
        until(lambda: server.answers("/health"), what="the gateway")
        return server


@pytest.fixture(scope="module")
def site(deploy: Deploy) -> Iterator[Site]:
    port = free_port()
    with deploy("web_chat", PORT=str(port), ALLOWED_ORIGINS=f"http://127.0.0.1:{port}") as running:
        yield Site(running, port)


@pytest_asyncio.fixture(loop_scope="session")
async def problems(context: BrowserContext, site: Site) -> AsyncIterator[list[str]]:
    """What must never happen in any tab: a script that fails, a policy that is broken, a request to somebody else."""
    found: list[str] = []
    own = (f"http://127.0.0.1:{site.port}/", "data:", "blob:")
    context.on("request", lambda each: None if each.url.startswith(own) else found.append(f"asked {each.url}"))
    context.on("weberror", lambda each: found.append(str(each.error)))
    context.on("console", lambda each: found.append(each.text) if "Content Security Policy" in each.text else None)
    yield found
    assert found == []


async def ask(page: Page, text: str) -> None:
    await page.get_by_label("Message to the agent").fill(text)
    await page.keyboard.press("Enter")


async def test_a_day_at_the_chat_page(
    context: BrowserContext, site: Site, llm: Model, problems: list[str], tmp_path: Path
) -> None:
    server = await asyncio.to_thread(site.serve)
    page = await context.new_page()
    await page.goto(server.url)
    assert (await Axe().run(page)).response["violations"] == []
    await page.get_by_role("button", name="demo-pro").click()
    await expect(page.locator("#line-text")).to_have_text("Connected", timeout=PATIENCE_MS)

    llm.write(TOKENS, delay_ms=SLOW_MS)
    await ask(page, "Tell me.")
    await expect(page.locator(".text")).to_contain_text("tok1 ", timeout=PATIENCE_MS)
    other = await context.new_page()
    await other.goto(server.url)
    await expect(other.locator(".text")).to_contain_text("tok2 ")
    await other.get_by_role("button", name="Stop the answer").click()
    for tab in (page, other):
        await expect(tab.locator(".turn").first).to_contain_text("Stopped.")
    await other.close()

    text = llm.write(TOKENS, delay_ms=SLOW_MS).strip()
    await ask(page, "Tell me all.")
    turn = page.locator(".turn").nth(1)
    await expect(turn.locator(".text")).to_contain_text("tok1 ", timeout=PATIENCE_MS)
    await page.reload()
    await expect(turn.locator(".text")).to_contain_text("tok3 ")
    await asyncio.to_thread(server.kill)
    await expect(page.locator("#line-text")).to_have_text("Reconnecting…")
    await page.screenshot(path=tmp_path / "reconnecting.png")
    llm.write(TOKENS)
    await asyncio.to_thread(site.serve)
    await expect(page.locator("#line-text")).to_have_text("Connected", timeout=PATIENCE_MS)
    await expect(turn).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
    assert await turn.locator(".text").all_inner_texts() == [text]
    await expect(page.locator(".question")).to_have_text(["Tell me.", "Tell me all."])

    await page.reload()
    await expect(turn.locator(".facts")).to_contain_text("tokens", timeout=PATIENCE_MS)
    await expect(page.locator(".talk-title")).to_have_text("Tell me.")
    await page.set_viewport_size(PHONE)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.screenshot(path=tmp_path / "phone.png")
