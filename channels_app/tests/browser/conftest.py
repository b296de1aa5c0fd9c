"""Debian's Chromium against the real page. One page for the run; each test has a gateway of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, Request

from channels_app.tests.browser.gateway_double import MAIN, GatewayDouble, Socket
from gateway.testing.chromium import DESKTOP, PHONE, new_profile


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


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[GatewayDouble]:
    """A gateway that plays the test's script."""
    async with GatewayDouble() as double:
        yield double


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_page(chromium: Browser) -> Page:
    """The page of one test after the other: a new one takes Chromium a second of processor time."""
    return await (await new_profile(chromium)).new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def page(lasting_page: Page) -> Page:
    """The page as it was at first. What it keeps for a site is kept for its port, which each test's gateway has anew."""
    profile = lasting_page.context
    for other in profile.pages:
        if other != lasting_page:
            await other.close()
    await profile.set_offline(offline=False)
    await lasting_page.goto("about:blank")
    await profile.clear_cookies()
    await profile.clear_permissions()
    await lasting_page.set_viewport_size(DESKTOP)
    await lasting_page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    return lasting_page


@pytest_asyncio.fixture(loop_scope="session")
async def chat(page: Page, gateway: GatewayDouble) -> AsyncIterator[Chat]:
    """A page; afterwards no script has failed, no policy was broken and nobody else was asked for anything."""
    with watched(Chat(page, gateway)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def timed_chat(context: BrowserContext, gateway: GatewayDouble) -> AsyncIterator[Chat]:
    """The same, whose clock the test may set: no profile gets its own back."""
    with watched(Chat(await context.new_page(), gateway)) as made:
        yield made


@contextmanager
def watched(chat: Chat) -> Iterator[Chat]:
    """A page that has no problem in the block."""
    with watching(chat):
        yield chat
    assert chat.problems == []


@contextmanager
def watching(chat: Chat) -> Iterator[None]:
    """Collect the problems of a page in the block."""

    def requested(request: Request) -> None:
        if not request.url.startswith((chat.gateway.url, "blob:", "data:")):
            chat.problems.append(f"asked {request.url}")

    def failed(error: Error) -> None:
        chat.problems.append(f"script failed: {error}")

    def said(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            chat.problems.append(message.text)

    chat.page.on("request", requested)
    chat.page.on("pageerror", failed)
    chat.page.on("console", said)
    try:
        yield
    finally:
        chat.page.remove_listener("request", requested)
        chat.page.remove_listener("pageerror", failed)
        chat.page.remove_listener("console", said)


__all__ = ["DESKTOP", "MAIN", "PHONE", "Chat"]
