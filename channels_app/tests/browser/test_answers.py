"""Turns in Chromium, event by event, against a gateway that plays a script."""

import json

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import Chat

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# A PNG of one pixel.
DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def test_an_answer_streams_with_its_tools_and_ends_with_its_facts(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("RSI of SPX?")
    turn = await socket.turn(1).accept(await socket.receive("message"))
    await turn.start()
    await expect(chat.turn()).to_contain_text("Thinking…demo/demo")
    await turn.emit("tool_call", call="a", tool="compute_indicators", arguments={"symbol": "SPX", "limit": 252})
    tool = chat.turn().locator("details.tool")
    await expect(tool).to_have_attribute("data-state", "running")
    await turn.emit("tool_progress", call="a", progress=1, total=4, message="reading bars")
    await expect(tool).to_contain_text("25 %")
    await turn.emit("tool_result", call="a", tool="compute_indicators", summary="RSI 58.3", ms=84)
    await expect(tool).to_have_attribute("data-state", "done")
    await turn.say("The **RSI** ", "is 58.3 ")
    await expect(chat.turn().locator("strong")).to_have_text("RSI")
    await turn.say("on 2018-12-31.")
    await turn.done("The **RSI** is 58.3 on 2018-12-31.")

    await expect(chat.turn().locator(".text")).to_have_text("The RSI is 58.3 on 2018-12-31.")
    await expect(chat.turn().locator(".facts")).to_have_text("14:01 · demo/demo · 1.4 s · 908 tokens")
    await expect(chat.page.locator("#stop")).to_be_hidden()
    await expect(chat.page.locator("#spoken")).to_have_text("The RSI is 58.3 on 2018-12-31.")
    await tool.locator("summary").click()
    await expect(tool.locator("pre").first).to_have_text(json.dumps({"symbol": "SPX", "limit": 252}, indent=2))
    await expect(tool.locator("pre").last).to_have_text("RSI 58.3")


async def test_text_before_a_tool_stays_when_the_answer_is_only_what_came_after(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("Let me look.")
    await turn.emit("tool_call", call="a", tool="get_bars", arguments={})
    await turn.emit("tool_result", call="a", tool="get_bars", summary="", ms=1, error="No such symbol.")
    await turn.say("There is none.")
    await turn.done("There is none.")

    await expect(chat.turn().locator(".text")).to_have_text(["Let me look.", "There is none."])
    await expect(chat.turn().locator("details.tool")).to_have_attribute("data-state", "failed")


async def test_a_snapshot_replaces_all_text_of_its_turn_and_of_no_other(chat: Chat) -> None:
    """Source: DESIGN.md section 2, takeover of a turn."""
    socket = await chat.open()
    first, second = socket.turn(1), socket.turn(2)
    await first.emit("user_message", channel="web", content="q")
    await first.done("kept")
    await second.emit("user_message", channel="web", content="q")
    await second.say("half of")
    await second.emit("tool_call", call="a", tool="get_bars", arguments={})
    await second.emit("snapshot", content="")
    await second.start(attempt=2)
    await expect(chat.turn(1)).to_contain_text("Starting again…")
    await second.say("the whole")
    await second.done("the whole")

    await expect(chat.page.locator(".text")).to_have_text(["kept", "the whole"])
    await expect(chat.turn(1).locator("details.tool")).to_have_attribute("data-state", "stopped")


async def test_messages_of_other_channels_and_tabs_appear_with_their_origin(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="telegram", content="and weekly?")
    await turn.emit("queued", position=2)

    await expect(chat.turn()).to_contain_text("from Telegram")
    await expect(chat.turn()).to_contain_text("Waiting behind 2 messages…")


async def test_an_answer_without_a_word_says_so(chat: Chat) -> None:
    """Also after it has looked at something; what joined another answer has its words there."""
    socket = await chat.open()
    empty, joined = socket.turn(1), socket.turn(2)
    await empty.emit("user_message", channel="web", content="q")
    await empty.emit("tool_call", call="a", tool="get_bars", arguments={})
    await empty.emit("tool_result", call="a", tool="get_bars", summary="", ms=1)
    await joined.emit("user_message", channel="web", content="And NDX")
    await joined.emit("queued", position=1)
    await joined.emit("notice", text="Taken up in the answer that is being written.")
    await empty.done(" ")
    await joined.done("")

    await expect(chat.turn().locator(".unanswered")).to_have_text("There is no answer to show.")
    await expect(chat.turn(1)).to_have_attribute("data-state", "done")
    await expect(chat.turn(1).locator(".unanswered")).to_have_count(0)


async def test_a_stopped_answer_is_copied_and_asked_again_like_any_other(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="Tell me a story")
    await turn.say("Once upon")
    await turn.emit("cancelled", content="Once upon")

    await expect(chat.turn()).to_contain_text("Stopped.")
    await expect(chat.turn().get_by_role("button", name="Copy answer")).to_be_visible()
    await chat.turn().get_by_role("button", name="Ask again").click()
    assert (await socket.receive("message"))["content"] == "Tell me a story"


async def test_stop_cancels_the_turn_that_runs(chat: Chat) -> None:
    socket = await chat.open()
    running, queued = socket.turn(1), socket.turn(2)
    for turn in (running, queued):
        await turn.emit("user_message", channel="web", content="q")
    await running.say("half")
    await chat.page.get_by_role("button", name="Stop the answer").click()

    assert (await socket.receive("cancel"))["turn"] == running.id
    await expect(chat.page.locator("#stop")).to_be_disabled()
    await running.emit("cancelled", content="half")
    await expect(chat.turn()).to_contain_text("Stopped.")
    await expect(chat.page.locator("#stop")).to_be_enabled()
    await queued.done("b")
    await expect(chat.page.locator("#stop")).to_be_hidden()


async def test_a_failed_turn_can_be_tried_again(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="the question")
    await turn.emit("failed", code="model", message="The model did not answer.")
    await expect(chat.turn().get_by_role("alert")).to_contain_text("The model did not answer.")
    await chat.turn().get_by_role("button", name="Try again").click()

    assert (await socket.receive("message"))["content"] == "the question"
    await expect(chat.turn().get_by_role("button", name="Try again")).to_have_count(0)


async def test_a_refused_message_says_why_and_when_to_try_again(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("too fast")
    first = await socket.receive("message")
    await socket.send("error", code="rate_limited", message="60 messages a minute.", retry_after_s=1, id=first["id"])

    again = chat.turn().get_by_role("button", name="Try again")
    await expect(chat.turn()).to_contain_text("60 messages a minute.")
    await expect(again).to_be_disabled()
    await expect(again).to_have_text("Try again")
    await again.click()
    second = await socket.receive("message")
    assert second["content"] == "too fast"
    assert second["id"] != first["id"]
    await expect(chat.page.locator(".question")).to_have_count(1)


async def test_the_newest_text_stays_in_sight_unless_the_user_scrolled_up(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("\n\n".join(f"Paragraph {number}" for number in range(60)))
    await expect(chat.page.get_by_text("Paragraph 59")).to_be_in_viewport()
    latest = chat.page.get_by_role("button", name="Latest")
    await expect(latest).to_be_hidden()
    await chat.page.locator("#scroll").evaluate("node => { node.scrollTop = 0; }")
    await expect(latest).to_be_visible()
    await turn.say("\n\nThe end")
    await expect(chat.page.get_by_text("The end")).to_be_attached()
    await expect(chat.page.get_by_text("The end")).not_to_be_in_viewport()
    await latest.click()

    await expect(chat.page.get_by_text("The end")).to_be_in_viewport()
    await expect(latest).to_be_hidden()


async def test_an_unfolded_tool_stays_where_the_user_opened_it(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.emit("tool_call", call="a", tool="get_bars", arguments={})
    await turn.emit("tool_result", call="a", tool="get_bars", summary=json.dumps(list(range(40))), ms=1)
    await turn.say("\n\n".join(f"Paragraph {number}" for number in range(9)))
    await expect(chat.page.get_by_text("Paragraph 8")).to_be_in_viewport()
    summary = chat.turn().locator("summary")
    before = await summary.bounding_box()
    await summary.click()
    await expect(chat.turn().locator("pre")).to_have_text(json.dumps(list(range(40)), indent=2))

    assert await summary.bounding_box() == before
    await expect(chat.page.get_by_role("button", name="Latest")).to_be_visible()


async def test_only_this_servers_images_and_those_in_the_frame_are_loaded(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("image", url="https://evil.test/track.png", alt="a chart")
    await turn.emit("image", url="data:image/svg+xml,<svg/>", alt="a drawing")
    await turn.emit("image", url=DOT, alt="a dot")
    await turn.emit("image", url="/static/favicon.svg", alt="a mark")

    await expect(chat.page.get_by_alt_text("a mark")).to_have_js_property("complete", value=True)
    await expect(chat.page.get_by_alt_text("a dot")).to_have_js_property("naturalWidth", 1)
    await expect(chat.turn().locator(".notice")).to_have_text(
        ["An image from elsewhere is not shown: a chart", "An image from elsewhere is not shown: a drawing"]
    )
    assert await chat.page.locator("#turns img").count() == 2


async def test_a_message_during_an_answer_says_what_becomes_of_it_and_can_be_withdrawn(chat: Chat) -> None:
    """Source: DESIGN.md, section 2: busy policy; the queue is visible and its items can be cancelled."""
    socket = await chat.open()
    running, waiting = socket.turn(1), socket.turn(2)
    await running.emit("user_message", channel="web", content="First")
    await running.emit("started", model="m", reason="r", attempt=1)
    await chat.page.get_by_label("A new message now").select_option("joins the answer")
    await chat.page.get_by_label("Message to the agent").fill("In weeks")
    await chat.page.get_by_label("Message to the agent").press("Enter")
    message = await socket.receive("message")
    await waiting.accept(message, position=1)
    withdraw = chat.page.get_by_role("button", name="Withdraw")
    await expect(withdraw).to_be_visible()
    await waiting.emit("user_message", channel="web", content="In weeks")
    await waiting.emit("queued", position=1)
    await withdraw.click()

    assert message["when_busy"] == "steer"
    assert (await socket.receive("cancel"))["turn"] == waiting.id
    await waiting.emit("notice", text="Taken up in the answer that is being written.")
    await expect(withdraw).to_have_count(0)
    await expect(chat.page.locator(".turn").last).to_contain_text("Taken up")
    await running.done("a")
    await waiting.done("")
    await expect(chat.page.locator("#busy")).to_be_hidden()
