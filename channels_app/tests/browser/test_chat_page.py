"""The chat page in Chromium, message by message, against a gateway that plays a script."""

import gzip
import json

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import MAIN, PHONE, Chat
from channels_app.tests.browser.gateway_double import USER, turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Compressed, as production serves it: a second on a slow phone line (400 kbit/s).
MOST_BYTES = 50_000
# A PNG of one pixel.
DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


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


async def test_another_conversations_turn_is_not_shown_here(chat: Chat) -> None:
    socket = await chat.open()
    other = socket.turn(1, conversation="0198c0de-0000-7000-8000-0000000000ff")
    await other.emit("user_message", channel="web", content="elsewhere")
    await socket.turn(2).emit("user_message", channel="web", content="here")

    await expect(chat.page.locator(".question")).to_have_text(["here"])


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


async def test_a_cold_start_is_told_and_goes_away(chat: Chat) -> None:
    socket = await chat.open()
    progress = chat.page.locator("#progress")
    await socket.send("status", state="starting", detail="Unpacking market data")
    await expect(progress).to_contain_text("Unpacking market data")
    await socket.send("status", state="ready", detail="Your workspace is ready.")

    await expect(progress).to_contain_text("Your workspace is ready.")
    await expect(progress).to_be_hidden()


async def test_history_is_shown_with_its_tools_and_older_parts_on_demand(chat: Chat) -> None:
    """A page of stored messages may begin in the middle of a turn."""
    cut = [
        {"turn": turn_id(1), "role": "tool", "tool_call_id": "a", "name": "get_bars", "content": "252 bars"},
        {"turn": turn_id(1), "role": "assistant", "content": "Here **they** are."},
        {"turn": turn_id(2), "role": "user", "content": "thanks", "channel": "telegram"},
        {"turn": turn_id(2), "role": "assistant", "content": "Gladly."},
    ]
    socket = await chat.open(items=tuple(cut), before="7")
    await expect(chat.page.locator(".turn")).to_have_count(2)
    await chat.page.get_by_role("button", name="Show earlier messages").click()
    assert (await socket.receive("history"))["before"] == "7"
    calls = [{"id": "a", "name": "get_bars", "arguments": {"symbol": "SPX"}}]
    older = [
        {"turn": turn_id(1), "role": "user", "content": "bars?", "channel": "web"},
        {"turn": turn_id(1), "role": "assistant", "content": "", "tool_calls": calls},
    ]
    await socket.send("history", conversation=MAIN, items=older, before=None)

    await expect(chat.page.locator(".question")).to_have_text(["bars?", "thanks"])
    await expect(chat.page.locator(".text")).to_have_text(["Here they are.", "Gladly."])
    await expect(chat.page.locator("details.tool")).to_have_count(1)
    await expect(chat.page.locator("details.tool summary")).to_contain_text("SPX")
    await expect(chat.turn(1)).to_contain_text("from Telegram")
    await expect(chat.page.locator("#older")).to_be_hidden()


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
    await chat.page.wait_for_url("**/signin/**")

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
