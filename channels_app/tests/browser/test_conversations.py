"""Conversations and their history in Chromium, against a gateway that plays a script."""

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import MAIN, PHONE, Chat
from channels_app.tests.browser.gateway_double import OTHER, USER, talk, turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_another_conversations_turn_is_not_shown_here(chat: Chat) -> None:
    socket = await chat.open()
    other = socket.turn(1, conversation=OTHER)
    await other.emit("user_message", channel="web", content="elsewhere")
    await socket.turn(2).emit("user_message", channel="web", content="here")

    await expect(chat.page.locator(".question")).to_have_text(["here"])


async def test_history_is_shown_with_its_tools_and_older_parts_on_demand(chat: Chat) -> None:
    """A page of stored messages may begin in the middle of a turn."""
    cut = [
        {"turn": turn_id(1), "role": "tool", "tool_call_id": "a", "name": "get_bars", "content": "252 bars"},
        {"turn": turn_id(1), "role": "assistant", "content": "Here **they** are."},
        {"turn": turn_id(2), "role": "user", "content": "thanks", "channel": "webhook"},
        {"turn": turn_id(2), "role": "assistant", "content": "Gladly."},
    ]
    socket = await chat.open(items=tuple(cut), before="7")
    await expect(chat.page.locator(".turn")).to_have_count(2)
    await chat.page.get_by_role("button", name="Show earlier messages").click()
    assert (await socket.receive("history"))["before"] == "7"
    calls = [{"id": "a", "name": "get_bars", "arguments": {"symbol": "SPX"}}]
    older = [
        {"turn": turn_id(1), "role": "user", "content": "bars?", "channel": "web", "attachments": ["my bars.csv"]},
        {"turn": turn_id(1), "role": "assistant", "content": "", "tool_calls": calls},
    ]
    await socket.send("history", conversation=MAIN, items=older, before=None)

    await expect(chat.page.locator(".question")).to_have_text(["bars?", "thanks"])
    await expect(chat.page.locator(".text")).to_have_text(["Here they are.", "Gladly."])
    await expect(chat.page.locator("details.tool")).to_have_count(1)
    await expect(chat.turn().locator(".asked li")).to_have_text(["my bars.csv"])
    await expect(chat.page.locator("details.tool summary")).to_contain_text("SPX")
    await expect(chat.turn(1)).to_contain_text("from Acme Chat")
    await expect(chat.page.locator("#older")).to_be_hidden()


async def test_history_tells_what_was_told_live(chat: Chat) -> None:
    """Source: a page that after a reload had lost its tools' times, its answers' facts and why a message failed."""
    usage = {"input_tokens": 812, "cached_tokens": 0, "output_tokens": 96, "cost_usd": None}
    items = (
        {"turn": turn_id(1), "role": "user", "content": "bars?", "channel": "web"},
        {"turn": turn_id(1), "role": "tool", "tool_call_id": "a", "name": "get_bars", "content": "252 bars", "ms": 84},
        {"turn": turn_id(1), "role": "tool", "tool_call_id": "b", "name": "look", "content": "None.", "failed": True},
        {"turn": turn_id(1), "role": "assistant", "content": "Here.", "model": "demo/demo"},
        {"turn": turn_id(2), "role": "user", "content": "and now?", "channel": "web"},
        {"turn": turn_id(3), "role": "user", "content": "stop", "channel": "web"},
        {"turn": turn_id(4), "role": "user", "content": "say nothing", "channel": "web"},
    )
    failed = {"state": "failed", "usage": None, "ms": 5, "error": {"code": "x", "message": "The model is away."}}
    turns = {
        turn_id(1): {"state": "done", "usage": usage, "ms": 1400, "error": None},
        turn_id(2): failed,
        turn_id(3): {"state": "cancelled", "usage": None, "ms": 5, "error": None},
        turn_id(4): {"state": "done", "usage": None, "ms": 5, "error": None},
    }
    socket = await chat.open(items=items, turns=turns)

    await expect(chat.turn().locator(".facts")).to_have_text("14:01 · demo/demo · 1.4 s · 908 tokens")
    await expect(chat.turn().locator(".tool-time")).to_have_text(["84 ms", ""])
    await expect(chat.turn().locator("details.tool").nth(1)).to_have_attribute("data-state", "failed")
    await expect(chat.turn(1).locator(".failure")).to_contain_text("The model is away.")
    await expect(chat.page.locator("#turns").get_by_role("alert")).to_have_count(0)
    await expect(chat.turn(2)).to_contain_text("Stopped.")
    await expect(chat.turn(2).get_by_role("button", name="Ask again")).to_be_visible()
    await expect(chat.turn(3)).to_contain_text("There is no answer to show.")
    await expect(chat.page.locator(".unanswered")).to_have_count(1)
    await chat.turn(1).get_by_role("button", name="Try again").click()
    assert (await socket.receive("message"))["content"] == "and now?"


async def test_history_that_could_not_be_read_is_asked_for_when_the_workspace_is_up(chat: Chat) -> None:
    await chat.page.goto(chat.gateway.url)
    socket = await chat.gateway.socket()
    await socket.send("ready", user_id=USER, licence="pro", model="", conversation=MAIN, running=[])
    asked = await socket.receive("history")
    await socket.send("status", state="failed", detail="It does not start.")
    await socket.send("error", code="workspace_failed", message="It does not start.", id=asked["id"])
    await expect(chat.page.get_by_role("button", name="Load the conversation")).to_be_visible()
    await expect(chat.page.get_by_text("It does not start.")).to_have_count(1)
    await socket.send("status", state="ready", detail="")
    await socket.receive("history")
    await socket.send("history", conversation=MAIN, items=[], before=None)

    await expect(chat.page.locator("#empty")).to_be_visible()


async def test_history_that_the_workspace_did_not_give_can_be_asked_for_again(chat: Chat) -> None:
    await chat.page.goto(chat.gateway.url)
    socket = await chat.gateway.socket()
    await socket.send("ready", user_id=USER, licence="pro", model="", conversation=MAIN, running=[])
    asked = await socket.receive("history")
    await socket.send("error", code="workspace_unreachable", message="It did not do its part.", id=asked["id"])
    await expect(chat.page.locator("#banner")).to_contain_text("It did not do its part.")
    await chat.page.get_by_role("button", name="Load the conversation").click()

    assert "before" not in await socket.receive("history")


async def test_a_new_conversation_has_an_address_and_a_way_back(chat: Chat) -> None:
    socket = await chat.open()
    await socket.turn(1).emit("user_message", channel="web", content="in main")
    await chat.page.get_by_role("button", name="New conversation").click()
    asked = await socket.receive("history")
    await socket.send("history", conversation=asked["conversation"], items=[], before=None)
    await expect(chat.page).to_have_url(f"{chat.gateway.url}/#c-{asked['conversation']}")
    await expect(chat.page.locator(".turn")).to_have_count(0)
    await chat.ask("in the new one")
    assert (await socket.receive("message"))["conversation"] == asked["conversation"]
    await chat.page.get_by_role("link", name="Main conversation", exact=True).click()

    assert (await socket.receive("history"))["conversation"] == MAIN
    resumed = await socket.receive("resume")
    assert (resumed["turn"], resumed["after"]) == (turn_id(1), 0)


async def test_turns_that_were_stored_without_an_answer_or_its_facts_are_shown(chat: Chat) -> None:
    """Source: a turn that failed is stored with the user's words only; of an old one nobody knows the time it took."""
    failed = {"turn": turn_id(1), "role": "user", "content": "failed then", "channel": "web"}
    socket = await chat.open(items=(failed,), running=(turn_id(2),))
    ended = socket.turn(2)
    await ended.emit("snapshot", content="the answer")
    await ended.emit("done", content="the answer", model=None, usage=None, ms=None)

    await expect(chat.page.locator(".question").first).to_have_text("failed then")
    await expect(chat.page.locator(".text")).to_have_text(["the answer"])
    await expect(chat.page.locator(".facts")).to_have_text(["14:01", "14:02"])
    await expect(chat.page.locator("#stop")).to_be_hidden()


async def test_a_command_that_begins_a_conversation_takes_the_page_along(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("/new")
    message = await socket.receive("message")
    await socket.send("accepted", id=message["id"], turn="t1", conversation="c-new", position=0)

    assert (await socket.receive("history"))["conversation"] == "c-new"
    await chat.ask("two")
    assert (await socket.receive("message"))["conversation"] == "c-new"


async def test_the_list_is_read_searched_renamed_and_deleted(chat: Chat) -> None:
    talks = chat.gateway.talks
    talks.items += [talk(OTHER, title="Gold <b>miners</b>"), talk("c-3", title="Silver")]
    talks.page = 2
    socket = await chat.open()
    rows, find = chat.page.locator(".talk"), chat.page.get_by_label("Search conversations")
    await expect(rows.locator(".talk-title")).to_have_text(["Main conversation", "Gold <b>miners</b>"])
    await expect(rows.first.locator("a")).to_have_attribute("aria-current", "page")
    await chat.page.get_by_role("button", name="Show more").click()
    await expect(rows.locator(".talk-title")).to_have_text(["Main conversation", "Gold <b>miners</b>", "Silver"])
    await find.fill("SILV")
    await expect(rows.locator(".talk-title")).to_have_text(["Silver"])
    await expect(chat.page.locator("#side-note")).to_have_text("1 conversation found")
    await find.fill("nothing like it")
    await expect(chat.page.locator("#side-note")).to_have_text("No title matches.")
    await find.fill("")

    await rows.nth(1).get_by_role("button", name="Rename").click()
    field = rows.nth(1).get_by_label("Title", exact=True)
    await expect(field).to_be_focused()
    await field.fill("Miners")
    await field.press("Enter")
    await expect(rows.nth(1).locator(".talk-title")).to_have_text("Miners")
    await expect(rows.nth(1).get_by_role("button", name="Rename")).to_be_focused()
    await rows.nth(1).locator("a").click()
    assert (await socket.receive("history"))["conversation"] == OTHER
    await expect(chat.page).to_have_title("Miners – Dexorder")

    await rows.nth(1).get_by_role("button", name="Delete").click()
    await expect(rows.nth(1).get_by_role("button", name="Keep")).to_be_focused()
    talks.refusal = (409, "A message of this conversation is being answered. Stop it first.")
    await rows.nth(1).get_by_role("button", name="Delete").click()
    await expect(rows.nth(1).get_by_role("alert")).to_contain_text("Stop it first.")
    talks.refusal = None
    await rows.nth(1).get_by_role("button", name="Delete").click()
    await rows.nth(1).get_by_role("button", name="Delete").click()
    assert (await socket.receive("history"))["conversation"] == MAIN
    await expect(rows.locator(".talk-title").get_by_text("Miners")).to_have_count(0)


async def test_an_answer_elsewhere_moves_its_conversation_up_and_shows_that_it_runs(chat: Chat) -> None:
    talks = chat.gateway.talks
    talks.items.append(talk(OTHER, title="Gold"))
    socket = await chat.open()
    rows = chat.page.locator(".talk")
    await expect(rows).to_have_count(2)
    turn = socket.turn(1, conversation=OTHER)
    await turn.emit("user_message", channel="telegram", content="q")
    await expect(rows.nth(1).get_by_role("img", name="being answered")).to_be_visible()
    talks.items.reverse()
    await turn.done("a")

    await expect(rows.locator(".talk-title")).to_have_text(["Gold", "Main conversation"])
    await expect(chat.page.get_by_role("img", name="being answered")).to_have_count(0)


async def test_on_a_phone_the_list_lies_over_the_chat_until_one_is_chosen(chat: Chat) -> None:
    await chat.page.set_viewport_size(PHONE)
    chat.gateway.talks.items.append(talk(OTHER, title="Gold"))
    socket = await chat.open()
    side, toggle = chat.page.locator("#side"), chat.page.get_by_role("button", name="Conversations")
    await expect(side).to_be_hidden()
    await toggle.click()
    await expect(side).to_be_focused()
    await expect(chat.page.locator("#scroll")).to_have_attribute("inert", "")
    await chat.page.keyboard.press("Escape")
    await expect(side).to_be_hidden()
    await expect(toggle).to_be_focused()
    await toggle.click()
    await chat.page.get_by_role("link", name="Gold").click()

    assert (await socket.receive("history"))["conversation"] == OTHER
    await expect(side).to_be_hidden()
    await expect(chat.page.locator("#scroll")).not_to_have_attribute("inert", "")
