"""What a newcomer does first: sign in with one click and ask the demo model for a figure of real data."""

import csv
import gzip
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.async_api import Page

from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.processes import ROOT, Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),  # being the first of its process, it also waits for all that these share
]
SPX = ROOT / "workspace" / "mcp_server" / "market" / "shipped" / "SPX.csv.gz"
BARS, PERIOD = 252, 14
DROP = """([name, content]) => {
  const files = new DataTransfer();
  files.items.add(new File([content], name, { type: "text/csv" }));
  const how = { dataTransfer: files, bubbles: true, cancelable: true };
  document.querySelector("#thread").dispatchEvent(new DragEvent("drop", how));
}"""


@pytest.fixture
def server(deploy: Deploy) -> Iterator[Server]:
    """A gateway without any model but the demo one."""
    with deploy("first_question", DEFAULT_MODEL_PROVIDER="", DEFAULT_MODEL="", OPENAI_BASE_URL="") as deployment:
        yield deployment.serve()


def rsi(closes: list[float]) -> float:
    """Wilder's relative strength index of the last bar (J. Welles Wilder, New Concepts in Technical Trading Systems)."""
    changes = [after - before for before, after in pairwise(closes)]
    gain = sum(max(change, 0) for change in changes[:PERIOD]) / PERIOD
    loss = sum(max(-change, 0) for change in changes[:PERIOD]) / PERIOD
    for change in changes[PERIOD:]:
        gain = (gain * (PERIOD - 1) + max(change, 0)) / PERIOD
        loss = (loss * (PERIOD - 1) + max(-change, 0)) / PERIOD
    return 100 - 100 / (1 + gain / loss)


async def test_the_first_answer_states_the_figure_and_files_and_an_approval_in_two_tabs_are_taken(
    server: Server, page: Page
) -> None:
    await page.goto(f"http://localhost:{server.port}/")
    await page.get_by_role("button", name="demo-pro").click()
    await the_figure_is_right(page)
    await files_are_taken(page)
    await an_approval_is_given_in_another_tab(page)


async def the_figure_is_right(page: Page) -> None:
    with gzip.open(SPX, "rt") as file:
        bars = list(csv.DictReader(file))[-BARS:]
    await ask(page, "RSI of SPX over the last 252 bars?")
    await page.get_by_text("Compute indicators").wait_for()
    answer = page.locator(".answer")
    await answer.get_by_text("demo model").wait_for()

    assert any("Starting your workspace" in stage for stage in await page.evaluate("[...window.stages]"))
    text = await answer.inner_text()
    assert bars[0]["date"] in text
    assert bars[-1]["date"] in text
    figure = re.search(r"RSI\(14\) was ([0-9.]+)", text)
    assert figure is not None, text
    assert float(figure[1]) == pytest.approx(rsi([float(bar["close"]) for bar in bars]), abs=0.005)


async def files_are_taken(page: Page) -> None:
    """Dropped, sent again, and chosen by the button."""
    await file_is_dropped(
        page, "acme.csv", "date,open,high,low,close,volume\n2024-01-02,10,11,9,10,7\n2024-01-03,10,12,10,11.25,9\n"
    )
    await ask(page, "Price of ACME?")
    dropped = page.locator(".turn").nth(1)
    await dropped.get_by_text("2 bars, from 2024-01-02 to 2024-01-03, can be used as ACME now.").wait_for()
    await dropped.locator(".facts").wait_for()
    assert "11.25" in await dropped.locator(".answer").inner_text()
    await dropped.get_by_role("button", name="Ask again").click()
    again = page.locator(".turn").nth(2)
    await again.locator(".asked .files").get_by_text("acme.csv").wait_for()
    await again.locator(".facts").wait_for()
    assert await again.locator(".notice").inner_text() == await dropped.locator(".notice").inner_text()

    await page.locator("#file").set_input_files(
        {"name": "idea.md", "mimeType": "text/markdown", "buffer": b"# Buy low"}
    )
    await page.locator("#files li:not([aria-busy])").wait_for()
    await page.get_by_label("Message to the agent").press("Enter")
    await page.locator(".turn").nth(3).locator(".asked .files").get_by_text("idea.md").wait_for()
    await page.locator(".turn").nth(3).locator(".facts").wait_for()


async def an_approval_is_given_in_another_tab(page: Page) -> None:
    """Than the one that asked; both are told, and one strategy runs."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await ask(page, "Analyse sma_crossover on SPX")
    await other.get_by_role("button", name="Approve").wait_for(timeout=60_000)
    await page.get_by_role("button", name="Approve").click()
    for tab in (page, other):
        await tab.get_by_text("Approved on the web page.").wait_for()
        await tab.locator(".turn").nth(4).locator(".facts").wait_for(timeout=60_000)
        assert "trades on paper since" in await tab.locator(".turn").nth(4).inner_text()
        assert await tab.get_by_role("button", name="Approve").count() == 0
    await ask(other, "How is my portfolio?")
    await page.locator(".turn").nth(5).get_by_text("1 strategy runs on paper").wait_for()


async def ask(page: Page, text: str) -> None:
    await page.get_by_label("Message to the agent").fill(text)
    await page.keyboard.press("Enter")


async def file_is_dropped(page: Page, name: str, content: str) -> None:
    """On the conversation, as the browser tells the page of it; waits until it is uploaded."""
    await page.evaluate(DROP, [name, content])
    await page.locator("#files li:not([aria-busy])").wait_for()
