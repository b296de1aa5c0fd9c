"""Debian's Chromium for the tests; where there is none a test is skipped, where CI is set it fails."""

import shutil
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, ViewportSize

from gateway.testing.node import absent

# The shell is the same engine without windows, of a package of its own: a page takes it a quarter of the processor time.
PROGRAMS = ("chromium-headless-shell", "chromium")
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
    "--disable-sync",
    "--no-first-run",
]


def program() -> str:
    """The path of the lightest one that is installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or absent("Chromium is not installed")


async def new_profile(chromium: Browser) -> BrowserContext:
    """A browser profile of its own, desktop-sized."""
    return await chromium.new_context(viewport=DESKTOP, locale="en-GB", timezone_id="UTC")


async def bytes_on_the_line(page: Page, url: str) -> dict[str, int]:
    """What each path of a page's first load costs with its headers: its files, into an empty cache, and what scripts ask for."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    paths: dict[str, str] = {}
    sizes: Counter[str] = Counter()

    def sent(event: dict[str, Any]) -> None:
        paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def ended(event: dict[str, Any]) -> None:
        # One of the page before is not known.
        if path := paths.get(event["requestId"]):
            sizes[path] += int(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", sent)
    session.on("Network.loadingFinished", ended)
    await page.goto(url, wait_until="networkidle")
    await session.detach()
    return dict(sizes)
