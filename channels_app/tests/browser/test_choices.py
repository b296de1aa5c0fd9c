"""What the user chooses in the chat page: a model, other words, another look, another language."""

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import Chat
from channels_app.tests.browser.gateway_double import turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ASKED = {"turn": turn_id(1), "role": "user", "content": "RSI of SPX?", "channel": "web"}
TOLD = {"turn": turn_id(1), "role": "assistant", "content": "58.3", "model": "demo/demo"}


async def test_a_chosen_model_is_asked_until_it_is_no_longer_offered(chat: Chat) -> None:
    socket = await chat.open()
    choice = chat.page.get_by_label("Model of the next messages")
    await expect(choice.locator("option")).to_have_text(["Automatic: demo/demo", "demo/demo", "demo/large"])
    await chat.ask("one")
    assert "model" not in await socket.receive("message")
    await choice.select_option("demo/large")
    await chat.ask("two")
    assert (await socket.receive("message"))["model"] == "demo/large"

    await chat.page.reload()
    socket = await (await chat.gateway.socket()).greet()
    await expect(choice).to_have_value("demo/large")
    chat.gateway.models = ["demo/demo"]
    await chat.page.reload()
    socket = await (await chat.gateway.socket()).greet()
    await expect(choice.locator("option")).to_have_count(2)
    await expect(choice).to_have_value("")


async def test_a_question_is_asked_again_and_in_other_words_and_the_old_one_stays(chat: Chat) -> None:
    socket = await chat.open(items=(ASKED, TOLD))
    await chat.turn().get_by_role("button", name="Ask again").click()
    assert (await socket.receive("message"))["content"] == "RSI of SPX?"

    edit = chat.turn().get_by_role("button", name="Edit and send again")
    await edit.click()
    field = chat.page.get_by_label("Your message, edited")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("RSI of SPX?")
    await field.fill(" ")
    await field.press("Enter")
    await expect(chat.turn().get_by_role("alert")).to_have_text("Write something first.")
    await field.press("Escape")
    await expect(edit).to_be_focused()
    await edit.click()
    await field.fill("RSI of GOLD?")
    await field.press("Enter")

    assert (await socket.receive("message"))["content"] == "RSI of GOLD?"
    await expect(chat.page.locator(".question")).to_have_text(["RSI of SPX?", "RSI of SPX?", "RSI of GOLD?"])


async def test_the_meter_follows_what_is_used(chat: Chat) -> None:
    socket = await chat.open()
    meter = chat.page.locator("#meter .gauge")
    await expect(meter.first).to_have_text("Messages (24 h)12 of 100")
    await expect(meter.last).to_have_text("Tokens (month)1.2m of 20m")
    chat.gateway.used = 100
    await socket.turn(1).done("a")

    await expect(meter.first).to_have_text("Messages (24 h)100 of 100")


async def test_the_page_is_dark_or_light_as_its_user_says_from_the_first_byte_on(chat: Chat) -> None:
    await chat.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await chat.page.evaluate(ground)
    await chat.page.get_by_label("Account of demo-pro").click()
    await chat.page.get_by_label("Appearance").select_option("dark")
    dark = await chat.page.evaluate(ground)
    assert dark != light
    await chat.page.reload(wait_until="commit")
    await expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")
    await chat.page.emulate_media(color_scheme="light")
    assert await chat.page.evaluate(ground) == dark


async def test_another_language_is_spoken_by_the_page_and_told_to_the_agent(chat: Chat) -> None:
    await chat.open()
    await chat.page.get_by_label("Account of demo-pro").click()
    await chat.page.get_by_label("Language").select_option("de")
    socket = await (await chat.gateway.socket()).greet(items=(ASKED, TOLD))
    await expect(chat.page.locator("html")).to_have_attribute("lang", "de")
    await expect(chat.page.locator("#line-text")).to_have_text("Verbunden")
    await expect(chat.turn().get_by_role("button", name="Noch einmal fragen")).to_be_visible()
    turn = socket.turn(2)
    await turn.emit("queued", position=2)
    await expect(chat.turn(1)).to_contain_text("Wartet hinter 2 Nachrichten …")
    await socket.send(
        "error", code="x", message="The service is not available. Try again in a moment.", retry_after_s=3
    )
    await turn.done("Text", ms=1400)

    await expect(chat.page.locator("#banner")).to_contain_text(
        "Der Dienst ist nicht erreichbar. Versuchen Sie es gleich noch einmal. Versuchen Sie es in 3 s noch einmal."
    )
    await expect(chat.turn(1).locator(".facts")).to_have_text("14:02 · demo/demo · 1,4 s · 908 Token")
    assert chat.gateway.preferences == {"language": "de"}


async def test_a_language_that_the_agent_was_told_is_spoken_by_the_page_too(chat: Chat) -> None:
    chat.gateway.preferences = {"language": "de"}
    socket = await chat.open()
    await expect(chat.page.locator("html")).to_have_attribute("lang", "en")
    await socket.send("status", state="ready", detail="Your workspace is ready.")
    await (await chat.gateway.socket()).greet()

    await expect(chat.page.locator("html")).to_have_attribute("lang", "de")
