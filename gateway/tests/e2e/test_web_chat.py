"""A day at the chat page: Chromium, the real gateway, a model that writes slowly, a server that is killed.

Source: DESIGN.md, sections 2 and 3: a disconnect never stops a turn, no gap, no repeat, any tab.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, Page, expect

from gateway.embedded.ports import free_port
from gateway.testing.chromium import PHONE, bytes_on_the_line
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.peers import Model
from gateway.tests.e2e.processes import Deployment, Server, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TELL_VIOLATIONS = 'document.addEventListener("securitypolicyviolation", (event) => violated(event.effectiveDirective))'
# What came of each sink, once as many violations were told of, or after five seconds.
WRITE_TO_SINKS = """async () => {
  const told = [];
  const all = new Promise((resolve) => {
    document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective) === 3 && resolve());
    setTimeout(resolve, 5000);
  });
  const tried = [
    () => { document.body.innerHTML = "<img src=x onerror=alert(1)>"; },
    () => { document.createElement("script").src = "/static/js/app.js"; },
    () => { document.body.insertAdjacentHTML("beforeend", "<b>b</b>"); },
  ].map((write) => {
    try { write(); } catch (error) { return error.name; }
    return "taken";
  });
  await all;
  return { tried, told };
}"""
REFUSED = {"tried": ["TypeError"] * 3, "told": ["require-trusted-types-for"] * 3}
TOKENS = 40
# At this pace an answer takes long enough for all that is done meanwhile, unless it is hurried.
SLOW_MS = 400
PATIENCE_MS = 60_000


@dataclass
class Site:
    """A gateway at an address that stays its own when its server is killed."""

    running: Deployment
    port: int
    server: Server = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> Server:
        started = self.running.manage("serve")
        server = Server(started.popen, started.log, port=self.port)
        until(lambda: server.answers("/health"), what="the gateway")
        return server


@pytest.fixture(scope="module")
def site(deploy: Deploy) -> Iterator[Site]:
    port = free_port()
    with deploy("web_chat", PORT=str(port), ALLOWED_ORIGINS=f"http://127.0.0.1:{port}") as running:
        site = Site(running, port)
        site.server = site.serve()
        yield site


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


async def sign_in(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await page.get_by_role("button", name="demo-pro").click()
    await expect(page.locator("#line-text")).to_have_text("Connected", timeout=PATIENCE_MS)


async def ask(page: Page, text: str) -> None:
    await page.get_by_label("Message to the agent").fill(text)
    await page.keyboard.press("Enter")


async def test_a_day_at_the_chat_page(
    context: BrowserContext, site: Site, llm: Model, problems: list[str], tmp_path: Path
) -> None:
    page = await context.new_page()
    await page.goto(site.url)
    assert (await Axe().run(page)).response["violations"] == []
    await page.get_by_role("button", name="demo-pro").click()
    await expect(page.locator("#line-text")).to_have_text("Connected", timeout=PATIENCE_MS)

    llm.write(TOKENS, delay_ms=SLOW_MS)
    await ask(page, "Tell me.")
    await expect(page.locator(".text")).to_contain_text("tok1 ", timeout=PATIENCE_MS)
    other = await context.new_page()
    await other.goto(site.url)
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
    await asyncio.to_thread(site.server.kill)
    await expect(page.locator("#line-text")).to_have_text("Reconnecting…")
    await page.screenshot(path=tmp_path / "reconnecting.png")
    llm.write(TOKENS)
    site.server = await asyncio.to_thread(site.serve)
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


async def test_a_first_load_weighs_less_than_150_kb(context: BrowserContext, site: Site, problems: list[str]) -> None:
    page = await context.new_page()
    await sign_in(page, site)
    for path, script in (("/", "/static/js/app.js"), ("/account/", "/static/js/account.js")):
        sizes = await bytes_on_the_line(page, site.url + path)

        assert {path, script, "/static/css/app.css"} <= set(sizes)
        assert sum(sizes.values()) < 150_000, sizes


async def test_no_page_breaks_its_policy_and_under_it_no_sink_takes_a_string(
    context: BrowserContext, site: Site, problems: list[str]
) -> None:
    """Source: https://www.w3.org/TR/trusted-types/; the admin's own pages are written for a wider policy."""
    violations: list[str] = []

    def violated(directive: str) -> None:
        violations.append(directive)

    await context.expose_function("violated", violated)
    await context.add_init_script(TELL_VIOLATIONS)
    page = await context.new_page()
    await sign_in(page, site)
    await ask(page, "Hello")
    await expect(page.locator(".facts").last).to_contain_text("tokens", timeout=PATIENCE_MS)
    await page.get_by_label("Account of demo-pro").click()
    await page.goto(f"{site.url}/account/")
    await page.get_by_role("button", name="Link Telegram").click()
    await expect(page.locator(".ask code")).to_be_visible()
    for path in ("/signin/", "/signed-out/", "/nothing-here", "/signin/callback/?code=a&state=b", "/admin/login/"):
        await page.goto(site.url + path)
    assert violations == []

    for path in ("/", "/account/", "/signin/"):
        await page.goto(site.url + path)
        assert await page.evaluate(WRITE_TO_SINKS) == REFUSED, path
    problems[:] = [each for each in problems if "Content Security Policy" not in each]  # these were asked for


@pytest.mark.soak
async def test_an_orderly_restart_in_mid_answer_doubles_and_loses_nothing(
    context: BrowserContext, site: Site, llm: Model, problems: list[str]
) -> None:
    """As test_a_day_at_the_chat_page, whose server is killed."""
    page = await context.new_page()
    await sign_in(page, site)
    text = llm.write(TOKENS, delay_ms=SLOW_MS).strip()
    await ask(page, "Tell me all once more.")
    turn = page.locator(".turn").last
    await expect(turn.locator(".text")).to_contain_text("tok1 ", timeout=PATIENCE_MS)
    await asyncio.to_thread(site.server.stop, signal.SIGTERM)
    llm.write(TOKENS)
    site.server = await asyncio.to_thread(site.serve)

    await expect(turn).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
    assert await turn.locator(".text").all_inner_texts() == [text]
    await expect(page.locator(".question").last).to_have_text("Tell me all once more.")
