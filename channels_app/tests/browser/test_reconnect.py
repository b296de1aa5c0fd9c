"""The line is cut: nothing is lost, nothing is shown twice, and the user knows."""

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.conftest import MAIN, Chat, watched
from channels_app.tests.browser.gateway_double import turn_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_cut_answer_goes_on_after_the_last_event_seen(chat: Chat) -> None:
    """Source: DESIGN.md section 2: no gap, no repeat."""
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("one ", "two ")
    await expect(chat.page.locator(".text")).to_have_text("one two")
    await socket.close(1012)

    socket = await (await chat.gateway.socket()).greet(running=(turn.id,))
    resumed = await socket.receive("resume")
    assert (resumed["turn"], resumed["after"]) == (turn.id, 3)
    again = socket.turn(1, seq=1)
    await again.say("one ", "two ", "three")
    await again.done("one two three")
    await expect(chat.page.locator(".text")).to_have_text("one two three")
    await expect(chat.page.locator(".turn")).to_have_count(1)


async def test_a_reloaded_page_takes_up_the_running_answer(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("one ")
    await chat.page.reload()

    socket = await (await chat.gateway.socket()).greet(running=(turn.id,))
    assert (await socket.receive("resume"))["after"] == 0
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("one ", "two")
    await turn.done("one two")
    await expect(chat.page.locator(".question")).to_have_text("q")
    await expect(chat.page.locator(".text")).to_have_text("one two")


async def test_missing_events_are_asked_for_before_later_ones_are_shown(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    # The first event past the gap, and one more that was sent before the question arrived.
    await turn.repeat("token", seq=3, content="two ")
    await turn.repeat("token", seq=4, content="three")

    resumed = await socket.receive("resume")
    assert (resumed["turn"], resumed["after"]) == (turn.id, 1)
    await turn.say("one ", "two ", "three")
    await expect(chat.page.locator(".text")).to_have_text("one two three")
    assert not socket.has_received("resume")


async def test_a_gap_that_the_server_can_not_fill_is_passed_over(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.repeat("token", seq=9, content="lost")
    assert (await socket.receive("resume"))["after"] == 1
    kept = socket.turn(1, seq=5)
    await kept.say("kept ", "on")
    await kept.done("kept on")

    await expect(chat.page.locator(".text")).to_have_text("kept on")


async def test_a_question_that_met_a_cut_is_asked_again(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.repeat("token", seq=3, content="two")
    await socket.receive("resume")
    await socket.close(1012)

    socket = await (await chat.gateway.socket()).greet(running=(turn.id,))
    assert (await socket.receive("resume"))["after"] == 1
    await socket.turn(1, seq=4).say("later")
    assert (await socket.receive("resume"))["after"] == 1
    await socket.turn(1, seq=1).say("one ", "two ", "three ", "later")
    await expect(chat.page.locator(".text")).to_have_text("one two three later")


async def test_going_elsewhere_and_back_during_an_answer_shows_it_whole(chat: Chat) -> None:
    """Source: events that are under way when the page asks for all of them again."""
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("one ", "two ")
    await chat.page.get_by_role("button", name="New conversation").click()
    asked = await socket.receive("history")
    await socket.send("history", conversation=asked["conversation"], items=[], before=None)
    await chat.page.get_by_role("link", name="Main conversation", exact=True).click()
    await socket.receive("history")
    await socket.send("history", conversation=MAIN, items=[], before=None)
    await turn.say("three ", "four ", "five ")
    again = socket.turn(1)
    await again.emit("user_message", channel="web", content="q")
    await again.say("one ", "two ", "three ", "four ", "five ")
    await again.done("one two three four five")

    await expect(chat.page.locator(".question")).to_have_text(["q"])
    await expect(chat.page.locator(".text")).to_have_text("one two three four five")


async def test_a_message_without_an_answer_is_sent_again_under_its_id(chat: Chat) -> None:
    """Source: DESIGN.md section 2: the same `id` with the same content is one turn."""
    socket = await chat.open()
    await chat.ask("hello")
    first = await socket.receive("message")
    await expect(chat.turn()).to_contain_text("Sending…")
    chat.gateway.ticket_status = 503
    await socket.close(1012)
    await expect(chat.turn()).to_contain_text("Waiting for the connection…")
    chat.gateway.ticket_status = 200

    socket = await (await chat.gateway.socket()).greet()
    second = await socket.receive("message")
    assert second == first
    turn = await socket.turn(1).accept(second)
    await turn.done("hi")
    await expect(chat.page.locator(".question")).to_have_text("hello")
    await expect(chat.page.locator(".text")).to_have_text("hi")


async def test_an_acknowledgement_after_the_first_events_shows_the_message_once(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("hello")
    message = await socket.receive("message")
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="hello")
    await socket.send("accepted", id=message["id"], turn=turn.id, conversation=MAIN, position=0)
    await turn.done("hi")

    await expect(chat.page.locator(".text")).to_have_text("hi")
    await expect(chat.page.locator(".question")).to_have_text(["hello"])


async def test_what_was_written_and_what_was_sent_outlive_a_reload(chat: Chat) -> None:
    socket = await chat.open()
    await chat.ask("sent")
    sent = await socket.receive("message")
    await chat.page.get_by_label("Message to the agent").fill("a draft")
    await chat.page.reload()

    socket = await (await chat.gateway.socket()).greet()
    assert await socket.receive("message") == sent
    await expect(chat.page.get_by_label("Message to the agent")).to_have_value("a draft")
    await expect(chat.page.locator(".question")).to_have_text(["sent"])


async def test_a_message_written_while_the_line_is_down_waits_and_goes_out(chat: Chat) -> None:
    socket = await chat.open()
    chat.gateway.ticket_status = 503
    await socket.close(1012)
    await expect(chat.page.locator("#line")).to_have_text("Reconnecting…")
    await chat.ask("later")
    await expect(chat.turn()).to_contain_text("Waiting for the connection…")
    chat.gateway.ticket_status = 200

    socket = await (await chat.gateway.socket()).greet()
    assert (await socket.receive("message"))["content"] == "later"
    await expect(chat.page.locator("#line")).to_have_text("Connected")


async def test_an_offline_browser_says_so_and_comes_back_at_once(chat: Chat) -> None:
    socket = await chat.open()
    chat.gateway.ticket_status = 503
    await chat.page.context.set_offline(offline=True)
    await socket.close(1012)
    await expect(chat.page.locator("#line")).to_have_text("Offline")
    await expect(chat.page.locator("#banner")).to_contain_text("You are offline.")
    chat.gateway.ticket_status = 200
    await chat.page.context.set_offline(offline=False)

    await (await chat.gateway.socket()).greet()
    await expect(chat.page.locator("#banner")).to_be_hidden()


async def test_a_browser_that_goes_offline_says_so_within_a_second(timed_chat: Chat) -> None:
    """Source: a notice that came five seconds after the network had gone."""
    page = timed_chat.page
    await page.clock.install()
    socket = await timed_chat.open()
    await expect(page.locator("#line-text")).to_have_text("Connected")
    socket.dead = True
    await page.clock.pause_at(await page.evaluate("Date.now() + 100"))
    await page.context.set_offline(offline=True)
    await page.clock.run_for(1000)

    await expect(page.locator("#banner")).to_contain_text("You are offline.")
    await expect(page.locator("#line-text")).to_have_text("Offline")


async def test_a_gateway_that_still_answers_makes_no_page_offline(timed_chat: Chat) -> None:
    """Source: a gateway on the same machine needs no network."""
    page = timed_chat.page
    await timed_chat.open()
    await page.evaluate("dispatchEvent(new Event('offline'))")
    async with page.expect_event("console", lambda said: said.text == "later"):
        await page.evaluate("setTimeout(() => console.log('later'), 800)")

    await expect(page.locator("#line-text")).to_have_text("Connected")


async def test_a_stop_that_met_a_cut_is_sent_again(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await chat.page.get_by_role("button", name="Stop the answer").click()
    await socket.receive("cancel")
    await socket.close(1012)

    socket = await (await chat.gateway.socket()).greet(running=(turn.id,))
    assert (await socket.receive("cancel"))["turn"] == turn.id


async def test_a_turn_whose_events_are_gone_is_read_from_history(chat: Chat) -> None:
    socket = await chat.open()
    turn = socket.turn(1)
    await turn.emit("user_message", channel="web", content="q")
    await turn.say("half")
    await socket.close(1012)
    socket = await (await chat.gateway.socket()).greet()
    resumed = await socket.receive("resume")
    await socket.send("error", code="gone", message="No longer kept.", id=resumed["id"])

    await socket.receive("history")
    items = [
        {"turn": turn_id(1), "role": "user", "content": "q", "channel": "web"},
        {"turn": turn_id(1), "role": "assistant", "content": "the whole"},
    ]
    await socket.send("history", conversation=MAIN, items=items, before=None)
    await expect(chat.page.locator(".text")).to_have_text(["the whole"])
    await expect(chat.page.locator("#stop")).to_be_hidden()


@pytest.mark.parametrize("code", ["workspace_failed", "workspace_unreachable"])
async def test_a_turn_that_can_not_be_taken_up_is_tried_less_and_less_often(timed_chat: Chat, code: str) -> None:
    """Source: what came of a turn stands in the workspace, which may be away for long."""
    await timed_chat.page.clock.install()
    socket = await timed_chat.open(running=(turn_id(1),))
    for refusal in range(1, 9):
        resumed = await socket.receive("resume")
        await socket.send("error", code=code, message="Your workspace is away.", id=resumed["id"])
        await socket.turn(1 + refusal).emit("user_message", channel="web", content="the error has come")
        await expect(timed_chat.page.locator(".question")).to_have_count(refusal)
        await timed_chat.page.clock.run_for(9_000 if refusal == 8 else 20_000)

    await timed_chat.ask("anything")
    await socket.receive("message")
    assert not socket.has_received("resume")
    await timed_chat.page.clock.run_for(11_000)
    await socket.receive("resume")


async def test_turns_that_passed_while_the_page_was_away_appear_in_their_place(chat: Chat) -> None:
    socket = await chat.open()
    first, third = socket.turn(1), socket.turn(3)
    for turn in (first, third):
        await turn.emit("user_message", channel="web", content=f"q{turn.id[-1]}")
        await turn.done("a")
    await socket.close(1012)
    missed = [{"turn": turn_id(2), "role": "user", "content": "q2", "channel": "telegram"}]
    await (await chat.gateway.socket()).greet(items=tuple(missed))

    await expect(chat.page.locator(".question")).to_have_text(["q1", "q2", "q3"])


async def test_two_tabs_show_the_same_answer(chat: Chat) -> None:
    first = await chat.open()
    with watched(Chat(await chat.page.context.new_page(), chat.gateway)) as other:
        second = await other.open()
        await chat.ask("hello")
        turn = await first.turn(1).accept(await first.receive("message"))
        echo = second.turn(1)
        await echo.emit("user_message", channel="web", content="hello")
        for stream in (turn, echo):
            await stream.say("hi")
            await stream.done("hi")

        for tab in (chat, other):
            await expect(tab.page.locator(".question")).to_have_text(["hello"])
            await expect(tab.page.locator(".text")).to_have_text(["hi"])


async def test_an_ended_session_asks_to_sign_in_and_keeps_the_draft(chat: Chat) -> None:
    socket = await chat.open()
    await chat.page.get_by_label("Message to the agent").fill("a draft")
    await socket.send("expiring", seconds=60)
    await expect(chat.page.locator("#banner")).to_contain_text("Your session ends in 1 min.")
    chat.gateway.ticket_status = 401
    await socket.close(4401)

    sign_in = chat.page.get_by_role("link", name="Sign in")
    await expect(chat.page.locator("#banner")).to_contain_text("Your session has ended.")
    await expect(sign_in).to_have_attribute("href", "/signin/?next=%2F")
    await expect(chat.page.get_by_label("Message to the agent")).to_have_value("a draft")


async def test_a_user_without_a_licence_reads_why_and_is_not_connected_again(chat: Chat) -> None:
    """Source: DESIGN.md section 3: accepted, `error`, close 4403."""
    await chat.page.goto(chat.gateway.url)
    socket = await chat.gateway.socket()
    await socket.send("error", code="licence_expired", message="Your licence has expired.")
    await socket.close(4403)

    await expect(chat.page.locator("#banner")).to_contain_text("Your licence has expired.")
    await expect(chat.page.locator("#line")).to_have_text("Not connected")
    await expect(chat.page.get_by_label("Message to the agent")).to_be_disabled()


async def test_a_lost_line_is_told_at_once_and_until_the_server_greets_again(timed_chat: Chat) -> None:
    """Source: a page that said "Connected" for seconds after its server was killed."""
    await timed_chat.page.clock.install()
    socket = await timed_chat.open()
    await expect(timed_chat.page.locator("#line-text")).to_have_text("Connected")
    await timed_chat.page.clock.pause_at(await timed_chat.page.evaluate("Date.now() + 100"))
    await socket.close(1012)
    await expect(timed_chat.page.locator("#line-text")).to_have_text("Reconnecting…")
    await timed_chat.page.clock.resume()
    again = await timed_chat.gateway.socket()
    await expect(timed_chat.page.locator("#line-text")).to_have_text("Reconnecting…")
    await again.greet()

    await expect(timed_chat.page.locator("#line-text")).to_have_text("Connected")


async def test_waiting_times_double_to_a_limit_and_are_spread(chat: Chat) -> None:
    await chat.page.goto(chat.gateway.url)
    script = """({ backoff }) => [
      [1, 2, 3, 9].map((attempt) => backoff(attempt, { random: () => 0 })),
      [1, 2, 3, 9].map((attempt) => backoff(attempt, { random: () => 1 })),
      backoff(1, { least: 5000, random: () => 0 }),
    ]"""

    assert await chat.module("backoff", script) == [[200, 400, 800, 10_000], [400, 800, 1600, 20_000], 5000]
