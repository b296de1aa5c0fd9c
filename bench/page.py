"""Print how soon the pages show something and what they weigh, in Chromium on loopback.

    python -m bench.page [--loads 5]

Starts the gateway as a newcomer does, signs in as demo-pro and loads each page with an empty cache. `first_paint_ms` is the
browser's first contentful paint, median and worst; `kilobytes` is what crossed the line. Asserts nothing.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from bench.smoke import running_gateway

PAINT = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") resolve(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
SIZES = """() => Object.fromEntries(
  [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map(({ name, encodedBodySize }) => [name, encodedBodySize]))"""
PAGES = {"chat": "/", "account": "/account/"}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=5)
    loads = parser.parse_args().loads
    with tempfile.TemporaryDirectory() as folder, running_gateway(Path(folder)) as (port, _pid, _environment):
        print(json.dumps(asyncio.run(measure(f"http://localhost:{port}", loads)), indent=2))


async def measure(site: str, loads: int) -> dict[str, Any]:
    """The figures of each page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        figures = {name: await _of_page(browser, site, path, loads=loads) for name, path in PAGES.items()}
        await browser.close()
    return figures


async def _of_page(browser: Browser, site: str, path: str, *, loads: int) -> dict[str, Any]:
    paints: list[float] = []
    sizes: dict[str, int] = {}
    for _ in range(loads):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{site}/signin/")
        await page.get_by_role("button", name="demo-pro").click()
        await page.locator("#line-text").wait_for()
        sizes = await _load(page, site + path)
        paints.append(await page.evaluate(PAINT))
        await context.close()
    return {
        "first_paint_ms": {"p50": round(statistics.median(paints)), "max": round(max(paints))},
        "files": len(sizes),
        "kilobytes": round(sum(sizes.values()) / 1000, 1),
    }


async def _load(page: Page, url: str) -> dict[str, int]:
    """The sizes of a page's files as they cross the line into an empty cache; what its scripts ask for later is not counted."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.goto(url, wait_until="networkidle")
    found: dict[str, int] = await page.evaluate(SIZES)
    return {name: size for name, size in found.items() if "/api/" not in name}


if __name__ == "__main__":
    main()
