"""A person signs in at a certified provider, in Chromium, and gets to the chat; signing out closes their other tabs.

Source: DESIGN.md, section 4: sign-in to the pages by the code flow with PKCE.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Route, expect

from gateway.embedded.ports import free_port
from gateway.testing.openid import CLIENT, SECRET, certified_provider
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.processes import Server, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def site(deploy: Deploy) -> Iterator[Server]:
    """A gateway without a development issuer, at whose provider demo-pro may sign in."""
    port, at_provider = free_port(), free_port()
    site, issuer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{at_provider}"
    settings = {
        "PORT": str(port),
        "ALLOWED_ORIGINS": site,
        "JWT_JWKS_URL": f"{issuer}/jwks",
        "JWT_ISSUER": issuer,
        "OIDC_ISSUER": issuer,
        "OIDC_CLIENT_ID": CLIENT,
        "OIDC_CLIENT_SECRET": SECRET,
    }
    with (
        certified_provider(f"{site}/signin/callback/", port=at_provider),
        deploy("oidc", **settings) as running,
    ):
        started = running.manage("serve")
        server = Server(started.popen, started.log, port=port)
        until(lambda: server.answers("/health"), what="the gateway")
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, site: Server) -> AsyncIterator[Page]:
    """A page; the provider's wish for a font from elsewhere is not granted."""

    async def refuse(route: Route) -> None:
        await route.abort()

    await context.route("https://**", refuse)
    yield await context.new_page()


async def sign_in(page: Page, site: Server) -> None:
    await page.goto(site.url)
    await page.get_by_placeholder("Enter any login").fill("demo-pro")
    await page.get_by_placeholder("and password").fill("any")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#line-text")).to_have_text("Connected")


async def test_a_person_signs_in_asks_and_signs_out_of_every_tab(
    page: Page, site: Server, answer: str, tmp_path: Path
) -> None:
    await sign_in(page, site)
    assert page.url == f"{site.url}/"
    await page.get_by_label("Message to the agent").fill("Hello, AI!")
    await page.keyboard.press("Enter")
    await expect(page.locator("#turns")).to_contain_text(answer.strip(), timeout=30_000)
    await page.screenshot(path=tmp_path / "chat.png")

    other = await page.context.new_page()
    await other.goto(site.url)
    await expect(other.locator("#line-text")).to_have_text("Connected")
    await page.get_by_label("Account of demo-pro").click()
    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_role("heading")).to_have_text("You have signed out")
    await page.screenshot(path=tmp_path / "signed_out.png")
    await expect(other.get_by_role("heading", name="You have signed out")).to_be_visible()
    await other.screenshot(path=tmp_path / "other_tab.png")


async def test_what_goes_wrong_is_said_on_a_page_that_leads_back(page: Page, site: Server, tmp_path: Path) -> None:
    await page.goto(f"{site.url}/signin/callback/?code=guessed&state=guessed")

    await expect(page.get_by_role("alert")).to_contain_text("begun too long ago or in another browser")
    await page.screenshot(path=tmp_path / "not_signed_in.png")
    await page.get_by_role("link", name="Sign in again").click()
    await expect(page.get_by_placeholder("Enter any login")).to_be_visible()
