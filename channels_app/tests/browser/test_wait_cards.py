"""Approvals and questions on the chat page, in Chromium. Source: DESIGN section 6: settled from any channel, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import PHONE, Chat
from channels_app.tests.browser.gateway_double import Turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

APPROVAL = "0198c0de-0000-7000-8000-00000000a001"
QUESTION = "0198c0de-0000-7000-8000-00000000b001"
DIGEST = "ab" * 32
DETAILS: dict[str, Any] = {
    "Strategy": "golden-cross",
    "Instrument": "SPX",
    "Parameters": {"fast": 50, "slow": 200},
    "Worst loss": 0.125,
    "Symbols": ["SPX", "BTC"],
    "Live": True,
}
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "side": {"enum": ["b", "s"], "enumNames": ["Buy", "Sell"], "title": "Side"},
        "size": {"type": "integer", "minimum": 1, "title": "Size", "description": "How many"},
        "sure": {"type": "boolean", "title": "Sure?"},
        "note": {"type": "string", "title": "Note"},
    },
    "required": ["side", "size"],
}


def later(minutes: float = 30) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds")


async def ask(turn: Turn, *, minutes: float = 30, title: str = "Deploy golden-cross to SPX", **changes: Any) -> None:
    await turn.emit("user_message", channel="web", content="Deploy it")
    await turn.say("The risk is acceptable.")
    frame = {"title": title, "details": DETAILS, "digest": DIGEST, "expires_at": later(minutes)} | changes
    await turn.emit("approval", approval=APPROVAL, **frame)


async def test_an_approval_is_shown_decided_and_becomes_its_outcome_in_place(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await ask(turn)
    card = chat.turn().get_by_role("group", name="Your approval is needed: Deploy golden-cross to SPX")

    await expect(card.get_by_role("row")).to_have_count(len(DETAILS))
    await expect(card.get_by_role("row", name="Strategy golden-cross")).to_be_visible()
    await expect(card.get_by_role("row", name="Symbols SPX, BTC")).to_be_visible()
    await expect(card.get_by_role("row", name="Parameters fast: 50, slow: 200")).to_be_visible()
    await expect(card.get_by_role("timer")).to_contain_text("left")
    await expect(chat.page.locator("#spoken")).to_have_text("Your approval is needed: Deploy golden-cross to SPX")
    await card.get_by_role("button", name="Approve").focus()
    await chat.page.keyboard.press("Enter")
    sent = await socket.receive("decision")
    assert {name: sent[name] for name in ("approval", "decision", "digest")} == {
        "approval": APPROVAL, "decision": "approve", "digest": DIGEST,
    }  # fmt: skip
    await expect(card.get_by_role("button", name="Reject")).to_be_disabled()

    await turn.emit("approval_settled", approval=APPROVAL, decision="approved", by_channel="web")
    await expect(card.locator(".ask-outcome")).to_have_text("Approved on the web page.")
    await expect(card.get_by_role("button")).to_have_count(0)
    await expect(card.get_by_role("timer")).to_have_count(0)
    await expect(card.get_by_role("heading")).to_be_focused()
    await turn.say("\n\nDeployed.")
    await turn.done("The risk is acceptable.\n\nDeployed.")
    await expect(chat.turn().locator(".text")).to_have_text(["The risk is acceptable.", "Deployed."])


async def test_a_decision_made_elsewhere_is_shown_in_every_tab(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await ask(turn)

    await turn.emit("approval_settled", approval=APPROVAL, decision="rejected", by_channel="webhook")

    await expect(chat.turn().locator(".ask-outcome")).to_have_text("Rejected in Acme Chat.")


async def test_a_click_that_comes_too_late_says_who_was_first(chat: Chat) -> None:
    socket = await chat.open()
    await ask(socket.turn(1))
    await chat.turn().get_by_role("button", name="Reject").click()
    sent = await socket.receive("decision")
    said = "This was approved before in Telegram. Nothing has changed."

    await socket.send("error", code="already_decided", message=said, id=sent["id"])

    await expect(chat.turn().get_by_role("alert")).to_have_text(said)
    await expect(chat.turn().get_by_role("button", name="Approve")).to_be_disabled()


async def test_a_decision_that_could_not_be_taken_can_be_tried_again(chat: Chat) -> None:
    socket = await chat.open()
    await ask(socket.turn(1))
    await chat.turn().get_by_role("button", name="Approve").click()
    sent = await socket.receive("decision")
    await socket.send("error", code="unavailable", message="Try again in a moment.", id=sent["id"])
    await expect(chat.turn().get_by_role("button", name="Approve")).to_be_enabled()

    await chat.turn().get_by_role("button", name="Approve").click()

    assert (await socket.receive("decision"))["decision"] == "approve"


async def test_a_decision_on_its_way_when_the_line_is_cut_can_be_made_again(chat: Chat) -> None:
    socket = await chat.open()
    await ask(socket.turn(1))
    await chat.turn().get_by_role("button", name="Approve").click()
    await socket.receive("decision")
    await socket.close()
    again = await (await chat.gateway.socket()).greet(running=(socket.turn(1).id,))
    await expect(chat.turn().get_by_role("button", name="Approve")).to_be_enabled()

    await again.turn(1, seq=3).emit("approval_settled", approval=APPROVAL, decision="approved", by_channel="web")

    await expect(chat.turn().locator(".ask-outcome")).to_have_text("Approved on the web page.")


async def test_time_that_is_over_takes_the_buttons_away(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await ask(turn, minutes=0)

    await expect(chat.turn().get_by_role("timer")).to_have_text("Time is over")
    await expect(chat.turn().get_by_role("button", name="Approve")).to_be_disabled()
    await turn.emit("approval_settled", approval=APPROVAL, decision="expired", by_channel="gateway")
    await expect(chat.turn().locator(".ask-outcome")).to_have_text("Not decided in time.")


async def test_a_turn_that_is_stopped_withdraws_its_card(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await ask(turn)

    await turn.emit("cancelled", content="The risk is acceptable.")

    await expect(chat.turn().locator(".ask-outcome")).to_have_text("Withdrawn.")


async def test_what_a_tool_wrote_is_text_on_the_card(chat: Chat) -> None:
    socket = await chat.open()
    hostile = "<img src=x onerror=alert(1)>**bold** \u202eevil"
    await ask(socket.turn(1), title=hostile, details={hostile: hostile, "o": {"a": [hostile]}})
    card = chat.turn().locator(".wait")

    await expect(card.locator("h3")).to_have_text("<img src=x onerror=alert(1)>**bold** evil")
    await expect(card.locator("img, strong")).to_have_count(0)


async def test_a_question_is_a_form_whose_values_have_their_types(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("question", question=QUESTION, text="How much?", schema=FORM, expires_at=later())
    card = chat.turn().get_by_role("group", name="The agent asks you: How much?")
    await card.get_by_role("button", name="Answer", exact=True).click()
    await card.get_by_label("Side").select_option("Sell")
    await card.get_by_label("Size").fill("3")
    await card.get_by_label("Sure?").select_option("No")

    await chat.page.keyboard.press("Tab")
    await card.get_by_label("Note").press("Enter")

    sent = await socket.receive("answer")
    assert (sent["question"], sent["values"]) == (QUESTION, {"side": "s", "size": 3, "sure": False})
    await turn.emit("question_settled", question=QUESTION, outcome="answered", by_channel="web")
    await expect(card.locator(".ask-outcome")).to_have_text("Answered on the web page.")
    await expect(card.get_by_label("Size")).to_be_disabled()


async def test_a_question_can_be_left_unanswered(chat: Chat) -> None:
    socket = await chat.open()
    await socket.turn(1).emit("question", question=QUESTION, text="How much?", schema=FORM, expires_at=later())

    await chat.turn().get_by_role("button", name="Don't answer").click()

    assert (await socket.receive("answer"))["values"] is None


async def test_the_cards_fit_on_a_phone(chat: Chat) -> None:
    await chat.page.set_viewport_size(PHONE)
    socket = await chat.open()
    turn = socket.turn(1)
    await ask(turn, details=DETAILS | {"A long name without any break" * 2: "x" * 200})
    await turn.emit("question", question=QUESTION, text="How much?", schema=FORM, expires_at=later())
    await expect(chat.turn().locator(".wait")).to_have_count(2)

    wide = await chat.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    heights = await chat.page.locator(".wait .button").evaluate_all("all => all.map(node => node.offsetHeight)")

    assert not wide
    assert min(heights) >= 44
