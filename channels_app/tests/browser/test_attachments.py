"""Files for a message, on the page in Chromium. Source: DESIGN section 4, uploads; section 3, `attachments`."""

import pytest
from playwright.async_api import FilePayload, expect

from channels_app.tests.browser.conftest import MAIN, Chat
from channels_app.tests.browser.gateway_double import Socket, turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
NOTES: FilePayload = {"name": "rules.md", "mimeType": "text/markdown", "buffer": b"# Rules"}
CHART: FilePayload = {"name": "chart.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
# A drop or a paste of one file, as the browser tells the page of it.
BRING = """([target, kind]) => {
  const files = new DataTransfer();
  files.items.add(new File(["# Rules"], "rules.md", { type: "text/markdown" }));
  const made = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: files, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
  return document.querySelector(target).dispatchEvent(made);
}"""


async def choose(chat: Chat, *files: FilePayload) -> None:
    """By the button and the browser's own dialogue."""
    async with chat.page.expect_file_chooser() as choosing:
        await chat.page.get_by_role("button", name="Attach files").click()
    await (await choosing.value).set_files(list(files))


async def test_chosen_files_go_with_the_next_message_and_no_other(chat: Chat) -> None:
    socket = await chat.open()
    await choose(chat, NOTES, CHART)
    waiting = chat.page.locator("#files li")
    await expect(waiting).to_have_text(["rules.md", "chart.png"])
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)
    await chat.ask("What do you make of these?")

    message = await socket.receive("message")
    assert (message["content"], message["attachments"]) == ("What do you make of these?", ["file-1", "file-2"])
    assert list(chat.gateway.uploads.values()) == [b"# Rules", b"\x89PNG"]
    await expect(chat.page.locator("#files")).to_be_hidden()
    await expect(chat.turn().locator(".asked li")).to_have_text(["rules.md", "chart.png"])
    await chat.ask("And now?")
    assert "attachments" not in await socket.receive("message")


async def test_another_tab_sees_what_was_attached(chat: Chat) -> None:
    socket = await chat.open()
    await socket.turn(1).emit("user_message", channel="web", content="Look", attachments=["chart.png"])

    await expect(chat.turn().locator(".asked li")).to_have_text(["chart.png"])


async def test_files_can_be_sent_without_a_word(chat: Chat) -> None:
    socket = await chat.open()
    await expect(chat.page.get_by_role("button", name="Send")).to_be_disabled()
    await choose(chat, NOTES)
    await chat.page.get_by_role("button", name="Send").click()

    message = await socket.receive("message")
    assert (message["content"], message["attachments"]) == ("Please look at what is attached.", ["file-1"])


@pytest.mark.parametrize(("target", "kind"), [("#thread", "drop"), ("#input", "paste")])
async def test_files_can_be_dropped_and_pasted(chat: Chat, target: str, kind: str) -> None:
    await chat.open()
    went_on = await chat.page.evaluate(BRING, [target, kind])

    assert not went_on, "the browser would have opened it"
    await expect(chat.page.locator("#files li")).to_have_text(["rules.md"])
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)


async def test_a_file_is_removed_by_the_keyboard(chat: Chat) -> None:
    await chat.open()
    await choose(chat, NOTES, CHART)
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)
    await chat.page.get_by_role("button", name="Remove rules.md").press("Enter")

    await expect(chat.page.locator("#files li")).to_have_text(["chart.png"])
    await expect(chat.page.get_by_role("button", name="Remove chart.png")).to_be_focused()
    await chat.page.keyboard.press("Enter")
    await expect(chat.page.get_by_role("button", name="Attach files")).to_be_focused()
    await expect(chat.page.get_by_role("button", name="Send")).to_be_disabled()


async def test_what_the_gateway_refuses_is_told_and_gone(chat: Chat) -> None:
    await chat.open()
    chat.gateway.upload_refusal = "This file can't be attached."
    await choose(chat, NOTES)

    await expect(chat.page.locator("#note")).to_have_text("rules.md: This file can't be attached.")
    await expect(chat.page.locator("#files")).to_be_hidden()


async def test_a_file_that_is_too_large_is_not_sent(chat: Chat) -> None:
    await chat.open()
    await choose(chat, {**NOTES, "buffer": b"x" * 3_000_001})

    await expect(chat.page.locator("#note")).to_have_text("rules.md is larger than 3 MB.")
    assert not [path for path in chat.gateway.requests if path == "/api/v1/uploads"]


async def test_a_message_waits_for_its_files(chat: Chat) -> None:
    socket = await chat.open()
    chat.gateway.uploading.clear()
    await choose(chat, NOTES)
    await chat.ask("Look")
    await expect(chat.page.locator("#note")).to_have_text("A file is still on its way. Send again in a moment.")
    chat.gateway.uploading.set()
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)
    await chat.page.keyboard.press("Enter")

    assert (await socket.receive("message"))["attachments"] == ["file-1"]
    assert not socket.has_received("message")


async def failed_with_file(chat: Chat) -> Socket:
    """The first message, with a file; it was accepted and then its turn has failed."""
    socket = await chat.open()
    await choose(chat, NOTES)
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)
    await chat.ask("Look")
    turn = socket.turn(1)
    message = await socket.receive("message")
    await socket.send("accepted", id=message["id"], turn=turn.id, conversation=MAIN, position=0)
    await turn.emit("user_message", channel="web", content="Look", attachments=["rules.md"])
    await turn.emit("failed", code="model", message="The model did not answer.")
    return socket


async def test_trying_again_sends_the_files_of_the_failed_message_again(chat: Chat) -> None:
    socket = await failed_with_file(chat)
    await chat.turn().get_by_role("button", name="Try again").click()

    message = await socket.receive("message")
    assert (message["content"], message["attachments_of"]) == ("Look", turn_id(1))
    assert "attachments" not in message
    await expect(chat.turn(1).locator(".asked li")).to_have_text(["rules.md"])
    # An unanswered one is sent again after a cut, with them.
    await socket.close()
    again = await (await chat.gateway.socket()).greet()
    assert (await again.receive("message"))["attachments_of"] == turn_id(1)


async def test_other_words_go_with_the_files_of_those_they_replace(chat: Chat) -> None:
    socket = await failed_with_file(chat)
    await chat.turn().get_by_role("button", name="Edit and send again").click()
    await chat.page.get_by_label("Your message, edited").fill("Look closely")
    await chat.page.keyboard.press("Enter")

    message = await socket.receive("message")
    assert (message["content"], message["attachments_of"]) == ("Look closely", turn_id(1))


async def test_a_stored_question_is_asked_again_with_its_files(chat: Chat) -> None:
    stored = {"turn": turn_id(1), "role": "user", "content": "Look", "channel": "web", "attachments": ["rules.md"]}
    told = {"turn": turn_id(1), "role": "assistant", "content": "Seen.", "model": "demo/demo"}
    socket = await chat.open(items=(stored, told))
    await chat.turn().get_by_role("button", name="Ask again").click()

    assert (await socket.receive("message"))["attachments_of"] == turn_id(1)


async def test_a_message_that_was_refused_goes_again_with_its_own_files(chat: Chat) -> None:
    """Nothing was stored, so no message has taken them."""
    socket = await chat.open()
    await choose(chat, NOTES)
    await expect(chat.page.locator("#files li[aria-busy]")).to_have_count(0)
    await chat.ask("Look")
    await socket.send("error", code="busy", message="Busy.", id=(await socket.receive("message"))["id"])
    await chat.turn().get_by_role("button", name="Try again").click()

    message = await socket.receive("message")
    assert message["attachments"] == ["file-1"]
    assert "attachments_of" not in message


async def test_files_that_are_gone_are_named_so_and_the_words_can_go_without_them(chat: Chat) -> None:
    socket = await failed_with_file(chat)
    await chat.turn().get_by_role("button", name="Try again").click()
    message = await socket.receive("message")
    gone = "The files of that message are not kept any more. Attach them again."
    await socket.send("error", code="not_found", message=gone, id=message["id"])

    await expect(chat.turn(1).get_by_role("alert")).to_contain_text(gone)
    await expect(chat.turn(1).locator(".asked .files")).to_be_hidden()
    await chat.turn(1).get_by_role("button", name="Send without files").click()
    bare = await socket.receive("message")
    assert bare["content"] == "Look"
    assert not {"attachments", "attachments_of"} & bare.keys()
