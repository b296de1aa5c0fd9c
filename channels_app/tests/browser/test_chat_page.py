"""The chat page in Chromium, its controls and its looks, against a gateway that plays a script."""

import gzip

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import MAIN, PHONE, Chat
from channels_app.tests.browser.gateway_double import USER

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Compressed, as production serves it: half of what is promised, a second and a half on a slow phone line (400 kbit/s).
MOST_BYTES = 75_000


async def test_the_socket_is_opened_with_a_ticket_and_no_token_in_the_address(chat: Chat) -> None:
    """Source: DESIGN.md section 3, how a browser authenticates."""
    await chat.page.goto(chat.gateway.url)
    socket = await chat.gateway.socket()

    assert socket.protocols[0] == "dexorder.v1"
    assert socket.protocols[1].startswith("dexorder.ticket.")
    assert "/ws/chat" in chat.gateway.requests
    await socket.greet()
    await expect(chat.page.locator("#line")).to_have_text("Connected")


async def test_an_empty_conversation_offers_examples_that_ask(chat: Chat) -> None:
    socket = await chat.open()
    await chat.page.get_by_role("button", name="List the instruments I can use").click()

    message = await socket.receive("message")
    assert message["content"] == "List the instruments I can use"
    assert message["conversation"] == MAIN
    await expect(chat.page.locator("#empty")).to_be_hidden()
    await expect(chat.page.get_by_label("Message to the agent")).to_be_focused()


async def test_a_cold_start_is_told_and_goes_away(chat: Chat) -> None:
    socket = await chat.open()
    progress = chat.page.locator("#progress")
    await socket.send("status", state="starting", detail="Unpacking market data")
    await expect(progress).to_contain_text("Unpacking market data")
    await socket.send("status", state="ready", detail="Your workspace is ready.")

    await expect(progress).to_contain_text("Your workspace is ready.")
    await expect(progress).to_be_hidden()


async def test_enter_sends_and_shift_enter_makes_a_line(chat: Chat) -> None:
    socket = await chat.open()
    field = chat.page.get_by_label("Message to the agent")
    await field.fill("one")
    low = await field.evaluate("node => node.clientHeight")
    await field.press("Shift+Enter")
    await field.press_sequentially("two")
    assert await field.evaluate("node => node.clientHeight") > low
    await field.press("Enter")

    assert (await socket.receive("message"))["content"] == "one\ntwo"
    await expect(field).to_have_value("")


async def test_a_message_that_no_frame_can_hold_is_not_sent(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("€" * 25_000)
    await expect(chat.page.locator("#note")).to_contain_text("too long")
    await chat.ask("short")

    assert (await socket.receive("message"))["content"] == "short"


async def test_hostile_frames_show_as_text_everywhere(chat: Chat) -> None:
    """Tool names, arguments, results, errors, notices and questions are strangers' words too."""
    socket = await chat.open()
    turn, evil = socket.turn(1), "<img src=x onerror=\"document.title='owned'\">"
    await turn.emit("user_message", channel=evil, content=evil)
    await turn.emit("notice", text=evil)
    await turn.emit("tool_call", call="a", tool=evil, arguments={evil: evil})
    await turn.emit("tool_result", call="a", tool=evil, summary=evil, ms=1, error=evil)
    await socket.send("status", state="starting", detail=evil)
    await socket.send("error", code="x", message=evil)
    await turn.emit("failed", code="x", message=evil)

    await expect(chat.turn().get_by_role("alert")).to_contain_text("<img")
    await expect(chat.page.locator("#banner")).to_contain_text("<img")
    assert await chat.page.title() == "Dexorder chat"
    assert await chat.page.locator("#turns img, #banner img, #progress img").count() == 0


async def test_a_frame_of_a_newer_gateway_is_passed_over(chat: Chat) -> None:
    socket = await chat.open()
    await socket.send("fireworks", colour="green")
    await socket.turn(1).emit("fireworks", colour="red")
    await socket.turn(1, seq=1).done("still here")

    await expect(chat.page.locator(".text")).to_have_text("still here")


async def test_signing_out_is_a_form_with_its_token(chat: Chat) -> None:
    await chat.open()
    await chat.page.get_by_label(f"Account of {USER}").click()
    await chat.page.get_by_role("button", name="Sign out").click()
    await chat.page.wait_for_url("**/signed-out/")

    assert chat.gateway.signed_out == {"csrfmiddlewaretoken": ["page-token"]}


async def test_the_account_menu_closes_when_the_user_goes_elsewhere(chat: Chat) -> None:
    await chat.open()
    account, menu = chat.page.get_by_label(f"Account of {USER}"), chat.page.locator(".menu")
    await account.click()
    await expect(menu).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(menu).to_be_hidden()
    await expect(account).to_be_focused()
    await account.click()
    await chat.page.locator("#empty").click(position={"x": 1, "y": 1})

    await expect(menu).to_be_hidden()


async def test_code_and_answers_can_be_copied(chat: Chat) -> None:
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.done("Use **this**:\n\n```python\nx = 1\n```")
    copied = "navigator.clipboard.readText()"
    await chat.turn().get_by_role("button", name="Copy code").click()
    await expect(chat.turn().locator("[data-copied]")).to_have_count(1)
    assert await chat.page.evaluate(copied) == "x = 1"
    await expect(chat.turn().locator("[data-copied]")).to_have_count(0)
    await chat.turn().get_by_role("button", name="Copy answer").click()
    await expect(chat.turn().locator("[data-copied]")).to_have_count(1)

    assert await chat.page.evaluate(copied) == "Use **this**:\n\n```python\nx = 1\n```"


async def test_the_page_fits_a_phone_and_every_target_a_thumb(chat: Chat) -> None:
    await chat.page.set_viewport_size(PHONE)
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="W" * 300)
    await turn.emit("tool_call", call="a", tool="a_tool_with_quite_a_long_name", arguments={"symbol": "S" * 99})
    await turn.done("| a | b |\n|---|---|\n| " + "x" * 200 + " | y |\n\n`" + "z" * 200 + "`")
    await expect(chat.turn().locator("table")).to_be_visible()

    assert await chat.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert await chat.page.evaluate("document.getElementById('scroll').scrollWidth") <= PHONE["width"]
    for button in await chat.page.locator(".top > :is(button, details):visible, .composer button:visible").all():
        box = await button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40


async def test_the_page_is_light_and_asks_nobody_else(chat: Chat) -> None:
    sizes: list[int] = []

    async def weigh(path: str) -> None:
        response = await chat.page.request.get(chat.gateway.url + path)
        sizes.append(len(gzip.compress(await response.body())))

    await chat.open()
    for path in {path for path in chat.gateway.requests if path == "/" or path.startswith("/static/")}:
        await weigh(path)

    assert len(sizes) > 10
    assert sum(sizes) < MOST_BYTES
