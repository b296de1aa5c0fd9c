"""What axe-core finds wrong with the pages, in both colours, on a desk and on a phone: nothing."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from channels_app.tests.browser.account_double import AccountDouble, alert, link, request, task
from channels_app.tests.browser.conftest import PHONE, Chat, watched
from channels_app.tests.browser.everything import show_everything

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def findings(page: Page) -> list[str]:
    """Each rule that is broken, with the places that break it."""
    results: dict[str, Any] = (await Axe().run(page)).response
    return [
        f"{each['id']} ({each['impact']}): {', '.join(str(node['target']) for node in each['nodes'])}"
        for each in results["violations"]
    ]


async def test_a_chat_full_of_everything_breaks_no_rule(chat: Chat) -> None:
    await show_everything(chat, "Some words of a stranger")
    await chat.page.emulate_media(reduced_motion="reduce")
    await expect(chat.page.locator(".talk")).to_have_count(2)
    await chat.page.locator("details.tool summary").first.click()
    await chat.turn(1).get_by_role("button", name="Edit and send again").click()
    for scheme in ("light", "dark"):
        await chat.page.emulate_media(color_scheme=scheme)
        assert await findings(chat.page) == [], scheme

    await chat.page.get_by_label("Account of demo-pro").click()
    assert await findings(chat.page) == []
    await chat.page.keyboard.press("Escape")
    await chat.page.locator("#file").set_input_files({"name": "a.md", "mimeType": "text/markdown", "buffer": b"# A"})
    await expect(chat.page.locator("#files li:not([aria-busy])")).to_be_visible()
    row = chat.page.locator(".talk").last
    await row.get_by_role("button", name="Delete").click()
    assert await findings(chat.page) == []
    await row.get_by_role("button", name="Keep").click()
    await row.get_by_role("button", name="Rename").click()
    await chat.page.set_viewport_size(PHONE)
    assert await findings(chat.page) == []
    await chat.page.get_by_role("button", name="Conversations").click()
    assert await findings(chat.page) == []


async def test_a_chat_that_is_cut_off_breaks_no_rule(chat: Chat) -> None:
    socket = await chat.open()
    await chat.page.context.set_offline(offline=True)
    await socket.close()
    await expect(chat.page.locator("#banner")).to_contain_text("You are offline.")
    await chat.ask("Later")
    await expect(chat.turn()).to_contain_text("Waiting for the connection…")
    for scheme in ("light", "dark"):
        await chat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert await findings(chat.page) == [], scheme


async def test_an_empty_chat_breaks_no_rule(chat: Chat) -> None:
    await chat.open()
    await expect(chat.page.locator("#empty")).to_be_visible()

    assert await findings(chat.page) == []


async def test_the_account_page_breaks_no_rule(page: Page) -> None:
    async with AccountDouble() as double:
        double.links, double.requests_ = [link()], [request(2), request(3, state="refused")]
        double.schedules = [alert(), task(state="paused")]
        with watched(Chat(page, double)):
            await page.goto(f"{double.url}/account/")
            await expect(page.get_by_role("button", name="Confirm")).to_be_visible()
            await page.locator(".dx-chart summary").first.click()
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                assert await findings(page) == [], scheme
            await page.set_viewport_size(PHONE)

            assert await findings(page) == []
