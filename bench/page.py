"""Print how soon the pages show something and what they weigh, in Chromium on loopback.

    python -m bench.page [--loads 5]

Starts the gateway as a newcomer does, signs in as demo-pro and loads each page with an empty cache. `first_paint_ms` is the
browser's first contentful paint, median and worst; `kilobytes` is what crossed the line. Ends with 1 where the median paint of a
page takes a second or a page weighs 150 kB.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

from playwright.async_api import Browser, async_playwright

from bench.smoke import running_gateway
from gateway.testing.chromium import ARGUMENTS, bytes_on_the_line, program

PAINT = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") resolve(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
# What people take for at once, and what a bad mobile network brings in that time.
MOST_PAINT_MS = 1000
MOST_KILOBYTES = 150


class Paint(TypedDict):
    """Of the loads of a page, in milliseconds."""

    p50: int
    max: int


class Figures(TypedDict):
    """What is measured of a page."""

    first_paint_ms: Paint
    files: int
    kilobytes: float


PAGES = {"chat": "/", "account": "/account/"}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=5)
    loads = parser.parse_args().loads
    with tempfile.TemporaryDirectory() as folder, running_gateway(Path(folder)) as (port, _pid, _environment):
        figures = asyncio.run(measure(f"http://localhost:{port}", loads))
    print(json.dumps(figures, indent=2))
    if problems := [problem for name, page in figures.items() for problem in past_bounds(name, page)]:
        sys.exit("\n".join(problems))


def past_bounds(name: str, page: Figures) -> list[str]:
    """What is wrong with a page's figures."""
    paint, weight = page["first_paint_ms"]["p50"], page["kilobytes"]
    slow = [f"{name}: first paint after {paint} ms, {MOST_PAINT_MS} are too many"] if paint >= MOST_PAINT_MS else []
    heavy = [f"{name}: {weight} kB, {MOST_KILOBYTES} are too many"] if weight >= MOST_KILOBYTES else []
    return slow + heavy


async def measure(site: str, loads: int) -> dict[str, Figures]:
    """The figures of each page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        figures = {name: await _of_page(browser, site, path, loads=loads) for name, path in PAGES.items()}
        await browser.close()
    return figures


async def _of_page(browser: Browser, site: str, path: str, *, loads: int) -> Figures:
    paints: list[float] = []
    sizes: dict[str, int] = {}
    for _ in range(loads):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{site}/signin/")
        await page.get_by_role("button", name="demo-pro").click()
        await page.locator("#line-text").wait_for()
        sizes = await bytes_on_the_line(page, site + path)
        paints.append(await page.evaluate(PAINT))
        await context.close()
    return {
        "first_paint_ms": {"p50": round(statistics.median(paints)), "max": round(max(paints))},
        "files": len(sizes),
        "kilobytes": round(sum(sizes.values()) / 1000, 1),
    }


if __name__ == "__main__":
    main()
