"""Debian's Chromium against the real page. One browser for the run; each test has a page and a gateway of its own."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, Request, ViewportSize, async_playwright

from channels_app.tests.browser.gateway_double import MAIN, GatewayDouble, Socket

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass
class Chat:
    """A page and the gateway behind it; `problems` holds what must never happen, in any test."""

    page: Page
    gateway: GatewayDouble
    problems: list[str] = field(default_factory=list)

    async def open(self, **greeting: Any) -> Socket:
        """Load the page and greet its socket."""
        await self.page.goto(self.gateway.url)
        return await (await self.gateway.socket()).greet(**greeting)

    async def ask(self, text: str) -> None:
        """Write a message and press Enter."""
        await self.page.get_by_label("Message to the agent").fill(text)
        await self.page.keyboard.press("Enter")

    def turn(self, number: int = 0) -> Locator:
        """The turn at this place on the page."""
        return self.page.locator(".turn").nth(number)

    async def module(self, name: str, script: str, argument: Any = None) -> Any:
        """Run `script`, a function (module, argument), on one of the page's modules."""
        source = f"async ([path, argument]) => ({script})(await import(path), argument)"
        return await self.page.evaluate(source, [f"/static/js/{name}.js", argument])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The one browser of the run."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[GatewayDouble]:
    """A gateway that plays the test's script."""
    async with GatewayDouble() as double:
        yield double


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own, desktop-sized."""
    fresh = await chromium.new_context(viewport=DESKTOP, locale="en-GB", timezone_id="UTC")
    yield fresh
    await fresh.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chat(context: BrowserContext, gateway: GatewayDouble) -> AsyncIterator[Chat]:
    """A page; afterwards no script has failed, no policy was broken and nobody else was asked for anything."""
    watched = Chat(await context.new_page(), gateway)
    watch(watched)
    yield watched
    assert watched.problems == []


def watch(chat: Chat) -> None:
    """Collect the problems of a page."""

    def requested(request: Request) -> None:
        if not request.url.startswith((chat.gateway.url, "blob:", "data:")):
            chat.problems.append(f"asked {request.url}")

    chat.page.on("pageerror", lambda error: chat.problems.append(f"script failed: {error}"))
    chat.page.on("request", requested)
    chat.page.on(
        "console",
        lambda message: chat.problems.append(message.text) if "Content Security Policy" in message.text else None,
    )


__all__ = ["MAIN", "PHONE", "Chat"]
