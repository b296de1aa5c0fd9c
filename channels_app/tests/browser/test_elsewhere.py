"""What waits for the user in conversations that are not shown, in Chromium. Source: an approval that only a dot told of."""

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import MAIN, PHONE, Chat
from channels_app.tests.browser.gateway_double import OTHER, Turn, talk, turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LATER = "2099-01-05T14:00:00Z"


async def approve(turn: Turn, approval: str) -> None:
    await turn.emit("approval", approval=approval, title="Deploy", details={}, digest="ab" * 32, expires_at=LATER)


async def question(turn: Turn, question: str) -> None:
    await turn.emit("question", question=question, text="Which?", schema={}, expires_at=LATER)


async def test_what_waits_in_another_conversation_is_told_and_opened_on_a_phone(chat: Chat) -> None:
    await chat.page.set_viewport_size(PHONE)
    chat.gateway.talks.items.append(talk(OTHER, title="Gold <b>miners</b>"))
    socket = await chat.open()
    notice, spoken = chat.page.locator("#elsewhere"), chat.page.locator("#elsewhere-spoken")
    turn = socket.turn(1, conversation=OTHER)
    await approve(turn, "a-1")
    await expect(notice.get_by_role("link")).to_have_text(["1 approval waits in “Gold <b>miners</b>”"])
    await expect(notice).to_be_in_viewport()
    await expect(spoken).to_have_text("1 approval waits in “Gold <b>miners</b>”")
    await approve(turn, "a-2")
    await expect(notice.get_by_role("link")).to_have_text(["2 approvals wait in “Gold <b>miners</b>”"])
    await notice.get_by_role("link").focus()
    await chat.page.keyboard.press("Enter")

    assert (await socket.receive("history"))["conversation"] == OTHER
    await expect(notice).to_be_hidden()
    await expect(chat.page.locator("#scroll")).to_be_focused()
    await approve(socket.turn(1, conversation=OTHER), "a-1")
    await expect(chat.page.get_by_role("heading", name="Deploy")).to_be_focused()


async def test_what_is_settled_anywhere_waits_no_more_and_is_not_told_again(chat: Chat) -> None:
    chat.gateway.talks.items.append(talk(OTHER, title="Gold"))
    socket = await chat.open()
    notice, row = chat.page.locator("#elsewhere"), chat.page.locator(".talk").nth(1)
    turn = socket.turn(1, conversation=OTHER)
    await question(turn, "q-1")
    await expect(notice).to_have_text("1 question waits in “Gold”")
    await expect(row).to_contain_text("waits for you")
    await approve(turn, "a-1")
    await expect(notice).to_have_text("Approvals and questions wait in “Gold”")
    await turn.emit("question_settled", question="q-1", outcome="answered", by_channel="telegram")
    await expect(notice).to_have_text("1 approval waits in “Gold”")
    await turn.emit("approval_settled", approval="a-1", decision="rejected", by_channel="telegram")
    await expect(notice).to_be_hidden()
    await expect(row).not_to_contain_text("waits for you")
    # A page that shows another conversation hears its open turns from their first event.
    await turn.repeat("approval", seq=turn.seq + 1, approval="a-1", title="", details={}, digest="", expires_at=LATER)
    await turn.repeat("token", seq=turn.seq + 2, content="on")
    await expect(chat.page.get_by_role("img", name="being answered")).to_be_visible()

    await expect(notice).to_be_hidden()


async def test_a_turn_that_ends_takes_what_waited_with_it(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1, conversation=OTHER)
    await question(turn, "q-1")
    await expect(chat.page.locator("#elsewhere")).to_have_text("Something waits in another conversation")
    await turn.emit("cancelled", content="")

    await expect(chat.page.locator("#elsewhere")).to_be_hidden()


async def test_what_waits_in_many_conversations_takes_three_lines(chat: Chat) -> None:
    chat.gateway.talks.items += [talk(f"c-{number}", title=f"Talk {number}") for number in range(5)]
    socket = await chat.open()
    for number in range(5):
        await question(socket.turn(number + 1, conversation=f"c-{number}"), f"q-{number}")

    await expect(chat.page.locator("#elsewhere").get_by_role("link")).to_have_text(
        ["1 question waits in “Talk 0”", "1 question waits in “Talk 1”", "Something waits in 3 more conversations"]
    )


async def test_what_waits_here_is_told_once_another_conversation_is_shown(chat: Chat) -> None:
    chat.gateway.talks.items.append(talk(OTHER, title="Gold"))
    socket = await chat.open()
    await question(socket.turn(1), "q-1")
    await expect(chat.page.locator(".ask")).to_be_visible()
    await expect(chat.page.locator("#elsewhere")).to_be_hidden()
    await chat.page.get_by_role("link", name="Gold").click()

    await expect(chat.page.locator("#elsewhere")).to_have_text("1 question waits in “Main conversation”")
    await chat.page.locator("#elsewhere").get_by_role("link").click()
    await socket.receive("history")
    assert (await socket.receive("history"))["conversation"] == MAIN
    assert (await socket.receive("resume"))["turn"] == turn_id(1)
