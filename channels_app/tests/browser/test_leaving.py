"""What a sign-out does to the browser's other tabs, in Chromium. Source: a second tab that kept the talk on the screen."""

import pytest
from playwright.async_api import Page, expect

from channels_app.tests.browser.conftest import MAIN, Chat, watched
from channels_app.tests.browser.gateway_double import USER

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KEPT = "JSON.stringify(sessionStorage)"


async def said_to_be_signed_out(page: Page) -> None:
    await expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    assert "secret" not in await page.evaluate(KEPT)


async def test_a_sign_out_clears_every_tab_of_the_browser(chat: Chat) -> None:
    with watched(Chat(await chat.page.context.new_page(), chat.gateway)) as other:
        socket = await other.open()
        await socket.turn(1).emit("user_message", channel="web", content="a secret question")
        await other.page.get_by_label("Message to the agent").fill("a secret draft")
        await chat.open()
        await chat.page.get_by_label("Message to the agent").fill("another secret")
        await chat.page.get_by_label(f"Account of {USER}").click()
        await chat.page.get_by_role("button", name="Sign out").click()

        await said_to_be_signed_out(chat.page)
        await said_to_be_signed_out(other.page)
        await other.page.go_back()
        await expect(other.page.get_by_text("a secret question")).to_have_count(0)


async def test_a_sign_out_that_only_the_server_tells_clears_the_page(chat: Chat) -> None:
    """Source: docs/protocol.md: an embedding site signs its user out without any page of ours."""
    socket = await chat.open()
    await socket.turn(1).emit("user_message", channel="web", content="a secret question")
    await chat.page.get_by_label("Message to the agent").fill("a secret draft")
    await socket.close(4401, reason="You have signed out.")

    await said_to_be_signed_out(chat.page)


async def test_a_tab_that_slept_through_a_sign_out_clears_itself_when_it_wakes(chat: Chat) -> None:
    socket = await chat.open()
    await chat.page.evaluate("localStorage.setItem('dexorder.signedOut', Date.now() + 1000)")
    chat.gateway.ticket_status = 401
    await socket.close(1012)

    await said_to_be_signed_out(chat.page)


async def test_a_page_whose_browser_serves_somebody_else_now_shows_its_talk_no_more(chat: Chat) -> None:
    socket = await chat.open()
    await socket.turn(1).emit("user_message", channel="web", content="a secret question")
    await expect(chat.turn()).to_be_visible()
    await socket.send("ready", user_id="demo-free", licence="free", model="", conversation=MAIN, running=[])

    await said_to_be_signed_out(chat.page)
