"""Signs of work, and what an answer quotes. Source: Bot API, sendChatAction, ReplyParameters; PLATFORMS, Telegram."""

import asyncio
from typing import Any

import pytest

from agents.tests.engine import TestWorker, say
from channels_app.channels import Halt, Inbound, discord, slack
from channels_app.channels.telegram import CHANNEL
from channels_app.deliveries import sweeping
from channels_app.deliveries.rows import rest
from channels_app.drafts import halt, number_of
from channels_app.inbound import receive
from channels_app.tests.chats.bot_api import BLOCKED, BotApi, flood, refusal
from channels_app.tests.chats.contract import Previewing
from channels_app.tests.chats.sending import Sender, deliver, let_all_be_due, new_sender
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_telegram import parse, update
from channels_app.tests.doubles.discord import DiscordDriver
from channels_app.tests.doubles.slack import SlackDriver

pytestmark = pytest.mark.usefixtures("licensed", "linked")


@pytest.fixture
async def sender(pool: None, bot_api: BotApi) -> Sender:
    return await new_sender()


async def write(text: str, number: int = 1) -> None:
    found = parse(update(text=text, message_id=70 + number) | {"update_id": number})
    assert isinstance(found, Inbound)
    assert await receive(CHANNEL, found) == "accepted"


def signs(api: BotApi) -> list[dict[str, Any]]:
    return [call.parameters for call in api.calls if call.method == "sendChatAction"]


async def begun(worker: TestWorker) -> tuple[str, Previewing]:
    await write("Think")
    turn = await worker.claim()
    assert turn is not None
    return turn, Previewing(worker)


async def settle() -> None:
    """What is on its way has arrived."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("sign ")))


async def test_a_chat_shows_work_every_five_seconds_until_there_is_a_word(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await begun(worker)
    for after_s in (0, 4, 2, 4.5, 1):
        await previewing.look(after_s=after_s)
        await settle()
    assert signs(bot_api) == [{"chat_id": "7", "action": "typing"}] * 3

    await previewing.say(turn, "A word.")
    await previewing.look(after_s=20)
    await settle()
    assert len(signs(bot_api)) == 3
    await previewing.previews.close()


@pytest.mark.parametrize("lane", ["telegram:7", "telegram:*", "telegram"])
async def test_no_sign_is_given_where_a_chat_its_channel_or_the_next_slot_has_to_wait(
    sender: Sender, worker: TestWorker, bot_api: BotApi, lane: str
) -> None:
    _, previewing = await begun(worker)
    await rest(lane, seconds=60)

    await previewing.look()
    await settle()

    assert signs(bot_api) == []


async def test_a_wait_that_a_sign_is_told_holds_for_the_chats_messages(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    _, previewing = await begun(worker)
    bot_api.script.append(flood(30))

    await previewing.look()
    await settle()
    await previewing.look()
    await settle()

    assert len(signs(bot_api)) == 1
    assert await rows("SELECT not_before > clock_timestamp() + interval '25 s' FROM chat_lanes") == [(True,)]


async def test_a_chat_that_refuses_signs_is_not_asked_again(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    _, previewing = await begun(worker)
    bot_api.script.append(refusal(403, BLOCKED))
    for _ in range(3):
        await previewing.look()
        await settle()

    assert len(signs(bot_api)) == 1
    assert await rows("SELECT count(*) FROM user_channel_links") == [(1,)]


async def test_an_account_that_is_unlinked_meanwhile_is_shown_no_more(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    _, previewing = await begun(worker)
    await rows("DELETE FROM user_channel_links")
    await previewing.look()
    await settle()

    assert signs(bot_api) == []


async def test_discord_shows_typing_in_direct_messages_alone(settings: Any) -> None:
    driver = DiscordDriver()
    async with driver.on(settings):
        target = {"user": "7", "channel": "97", "message": "5"}
        assert discord.CHANNEL.typing_every_s(target) == 9.0
        assert discord.CHANNEL.typing_every_s({"user": "7", "channel": "97", "interaction": "5", "token": "t"}) is None
        await discord.CHANNEL.typing(target, about="SPX")

        assert driver.peer.typing == ["97"]


async def test_slack_shows_a_status_in_threads_of_direct_messages_alone(settings: Any) -> None:
    driver = SlackDriver()
    async with driver.on(settings):
        target = {"team": "T1", "user": "U7", "channel": "D7", "thread": "1.1"}
        assert slack.CHANNEL.typing_every_s(target) == 60.0
        assert slack.CHANNEL.typing_every_s(target | {"channel": "C7"}) is None
        assert slack.CHANNEL.typing_every_s(driver.target()) is None
        await slack.CHANNEL.typing(target, about="SPX")

        assert driver.peer.statuses == [("D7", "1.1")]
        assert driver.peer.titles == [("D7", "1.1", "SPX")]


def drafts(api: BotApi) -> list[str]:
    return [call.parameters.get("text", "") for call in api.calls if call.method == "sendMessageDraft"]


@pytest.fixture
async def drafting(licensed: dict[str, str], linked: None, sender: Sender) -> None:
    found = parse(update(text="/drafts on") | {"update_id": 900})
    assert isinstance(found, Inbound)
    assert await receive(CHANNEL, found) == "drafts_on"


@pytest.mark.usefixtures("drafting")
async def test_who_asks_for_it_sees_drafts_with_a_button_and_the_answer_as_a_message(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    """Source: Bot API, sendMessageDraft: it must end with sendMessage."""
    turn, previewing = await begun(worker)
    await previewing.look(after_s=0)
    await settle()
    for text in ("One", " and **two**"):
        await previewing.say(turn, text)
        await let_all_be_due()
        await previewing.look(after_s=2)
        await settle()
    await let_all_be_due()
    await previewing.look(after_s=2)
    await settle()
    assert drafts(bot_api) == ["", "One", "One and <b>two</b>"]
    await let_all_be_due()
    await previewing.look(after_s=20)
    await settle()
    assert drafts(bot_api)[3:] == ["One and <b>two</b>"], "a draft is gone after 30 s"
    shown = [call.parameters for call in bot_api.calls if call.method == "sendMessageDraft"]
    assert {(each["draft_id"], each["can_stop"]) for each in shown} == {(str(number_of(turn)), "true")}
    assert signs(bot_api) == []
    assert await rows("SELECT count(*) FROM deliveries WHERE kind = 'preview'") == [(0,)]

    await worker.order(turn, "finish")
    await worker.done(turn)
    await deliver(sender)

    assert bot_api.texts(7)[-1] == "One and <b>two</b>"


@pytest.mark.usefixtures("drafting")
async def test_a_draft_says_no_more_to_an_account_that_is_unlinked_meanwhile(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await begun(worker)
    await previewing.say(turn, "One")
    await previewing.look(after_s=0)
    await settle()
    await rows("DELETE FROM user_channel_links")
    await previewing.say(turn, " secret")
    await let_all_be_due()
    await previewing.look(after_s=2)
    await settle()

    assert drafts(bot_api) == ["One"]


@pytest.mark.usefixtures("drafting")
@pytest.mark.parametrize("stranger", [False, True])
async def test_the_button_of_a_draft_stops_its_own_turn(
    sender: Sender, worker: TestWorker, bot_api: BotApi, stranger: bool
) -> None:
    """Source: Bot API, MessageGenerationStopped."""
    turn, previewing = await begun(worker)
    await previewing.say(turn, "One")
    chat = {"id": 8 if stranger else 7, "type": "private"}
    for number in (5, number_of(turn)):
        value = {"update_id": 1, "stopped_message_generation": {"chat": chat, "draft_id": number}}
        found = parse(value)
        assert isinstance(found, Halt)
        outcome = await halt(CHANNEL, found)

    assert outcome == ("unlinked" if stranger else "halted")
    assert await rows(f"SELECT cancel_requested FROM turns WHERE id = '{turn}'") == [(not stranger,)]


@pytest.mark.usefixtures("drafting")
async def test_where_drafts_are_refused_the_answer_is_edited(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await begun(worker)
    await previewing.say(turn, "One")
    bot_api.script.append(refusal(400, "Bad Request: TEXTDRAFT_PEER_INVALID"))
    await previewing.look()
    await settle()
    await let_all_be_due()
    await previewing.look()
    await deliver(sender)

    assert len(drafts(bot_api)) == 1
    assert bot_api.texts(7)[-1] == "One"


@pytest.mark.usefixtures("drafting")
async def test_a_wait_that_a_draft_is_told_holds_for_the_chat_and_drafts_go_on_after_it(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await begun(worker)
    await previewing.say(turn, "One")
    bot_api.script.append(flood(30))
    for _ in range(2):
        await previewing.look()
        await settle()
    assert len(drafts(bot_api)) == 1
    resting = "SELECT not_before > clock_timestamp() + interval '25 s' FROM chat_lanes WHERE key = 'telegram:7'"
    assert await rows(resting) == [(True,)]

    await let_all_be_due()
    await previewing.look(after_s=20)
    await settle()
    assert drafts(bot_api) == ["One", "One"]


@pytest.mark.usefixtures("drafting")
async def test_drafts_are_ended_by_a_word_and_never_shown_to_a_group(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await begun(worker)
    await rows("""UPDATE turns SET reply_to = '{"chat": -5, "message": 1, "user": 7}'""")
    await previewing.say(turn, "One")
    await previewing.look()
    await settle()
    assert drafts(bot_api) == []

    found = parse(update(text="/drafts off") | {"update_id": 901})
    assert isinstance(found, Inbound)
    assert await receive(CHANNEL, found) == "drafts_off"
    assert await rows("SELECT count(*) FROM draft_wishes") == [(0,)]


@pytest.mark.usefixtures("drafting")
async def test_the_wish_of_an_account_is_forgotten_once_it_is_unlinked() -> None:
    await sweeping.tidy()
    assert await rows("SELECT channel, account FROM draft_wishes") == [("telegram", "7")]
    await rows("DELETE FROM user_channel_links")

    await sweeping.tidy()

    assert await rows("SELECT count(*) FROM draft_wishes") == [(0,)]


async def answer(worker: TestWorker, text: str) -> None:
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)


def quoted(api: BotApi) -> list[tuple[str, bool]]:
    sent = [call.parameters for call in api.calls if call.method == "sendMessage"]
    return [(each["text"], "reply_parameters" in each) for each in sent]


async def test_in_private_an_answer_quotes_only_where_other_messages_came_between(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    await write("one", 1)
    await answer(worker, "One.")
    await deliver(sender)
    await write("two", 2)
    await write("three", 3)
    await answer(worker, "Two.")
    await deliver(sender)
    await answer(worker, "Three.")
    await deliver(sender)
    await write("four", 4)
    await write("/usage", 5)
    await answer(worker, "Four.")
    await deliver(sender)

    found = [(text[:6], quote) for text, quote in quoted(bot_api)]
    assert found[:3] == [("One.", False), ("Two.", True), ("Three.", False)]
    assert ("Four.", True) in found


async def test_an_edited_message_is_no_new_turn(sender: Sender) -> None:
    """Source: Bot API, Update.edited_message; telegram_webhook does not even ask for them."""
    value = update(text="Hi again")
    found = parse({"update_id": 9, "edited_message": value["message"]})

    assert not isinstance(found, Inbound)


async def test_a_turn_that_can_not_be_shown_hides_no_other(
    sender: Sender, worker: TestWorker, bot_api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    """And is tried again after a while."""
    await link("demo-free", 1)
    await say("Think", user="demo-free", channel="telegram")
    broken = await worker.claim()
    assert broken is not None
    await rows("""UPDATE turns SET reply_to = '{"message": 71}'""")
    whole, previewing = await begun(worker)
    await previewing.say(broken, "Lost")
    await previewing.say(whole, "Kept")

    await previewing.look()
    await deliver(sender)

    assert bot_api.texts(7) == ["Kept"]
    await rows(f"""UPDATE turns SET reply_to = '{{"chat": 1, "message": 71}}' WHERE id = '{broken}'""")
    for after_s, shown in ((9, []), (2, ["Lost"])):
        await previewing.look(after_s=after_s)
        await deliver(sender)
        assert bot_api.texts(1) == shown
    assert caplog.text.count("preview_failed") == 1
