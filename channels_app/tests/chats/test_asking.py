"""Approvals and questions in chats. Source: DESIGN.md section 6: settled from any channel, once; PLATFORMS, Telegram."""

import json
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from agents.approvals import Decision, decide, get_approval
from agents.forms import buttons, complaint, fields, read_typed, schema_fault
from agents.questions import get_question
from agents.tests.engine import TestWorker, say, something_waits
from agents.waits import code_of, expire_waits
from channels_app import asking_words
from channels_app.channels import Press
from channels_app.channels.telegram import CHANNEL
from channels_app.presses import UNKNOWN, receive
from channels_app.richtext import telegram_html, visible_text
from channels_app.tests.chats.bot_api import BotApi, Reply, refusal
from channels_app.tests.chats.sending import deliver, new_sender
from channels_app.tests.chats.tables import SECRET, link, rows
from channels_app.tests.live import serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("linked", "pool")]


async def asked(bot_api: BotApi, order: str = "ask yes", *, channel: str = "web") -> tuple[str, list[tuple[str, str]]]:
    """Something waits for demo-pro and was asked in chat 7: its id, and the words and tokens of the buttons."""
    waiting = await something_waits("demo-pro", order, channel=channel)
    await deliver(await new_sender())
    last = next(call for call in reversed(bot_api.calls) if call.method == "sendMessage")
    keyboard = json.loads(last.parameters.get("reply_markup", '{"inline_keyboard": []}'))["inline_keyboard"]
    return waiting, [(button["text"], button["callback_data"]) for row in keyboard for button in row]


async def press(token: str, *, sender: str = "7") -> str:
    return await receive(CHANNEL, Press(sender=sender, token=token, query="q1"))


async def acknowledged(bot_api: BotApi, number: int = 1) -> str:
    """The text above the chat after so many presses."""

    def said(api: BotApi) -> list[str]:
        return [call.parameters["text"] for call in api.calls if call.method == "answerCallbackQuery"]

    await bot_api.until(lambda api: len(said(api)) >= number)
    return said(bot_api)[number - 1]


async def test_what_was_written_before_a_decision_is_told_before_it_is_asked_and_once(
    bot_api: BotApi, worker: TestWorker
) -> None:
    """Also where nobody looked at the answer while it was written."""
    await link("demo-pro", 1)
    sender = await new_sender()
    turn = (await say("Do it", channel="telegram")).turn
    await worker.claim()
    await worker.order(turn, "say", "The risk is low.")
    await worker.order(turn, "ask yes")
    await worker.done(turn)
    await deliver(sender)
    assert bot_api.texts(1)[0] == "The risk is low."

    [(approval,)] = await rows("SELECT id::text FROM approvals")
    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))
    await worker.claim()
    await worker.order(turn, "say", "It is deployed.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    await deliver(sender)

    said, asked_for, ended = bot_api.texts(1)
    assert (said, ended) == ("The risk is low.", "It is deployed.")
    assert "Deploy golden-cross" in asked_for


@pytest.mark.parametrize("channel", ["web", "telegram"])
async def test_an_approval_is_asked_in_the_chat_with_buttons_and_becomes_its_outcome(
    bot_api: BotApi, channel: str
) -> None:
    await link("demo-pro", 1)
    approval, found = await asked(bot_api, channel=channel)
    texts = [visible_text(text) for text in bot_api.texts(7)] if channel == "web" else []

    assert [label for label, _ in found] == ["Approve", "Reject"]
    assert all(len(token.encode()) <= 64 and approval not in token for _, token in found)
    assert len(bot_api.shown) == 2, "one in each linked chat, and no more in the one that the turn came from"
    for text in texts:
        assert text.startswith("Deploy golden-cross to SPX")
        assert "Worst loss: 12.5 %" in text
        assert f"/approve {code_of(approval)}" in text

    sender = {"web": "7", "telegram": "1"}[channel]
    tokens = [
        row[0]
        for row in await rows(f"SELECT token FROM chat_buttons WHERE account = '{sender}' AND choice = '\"approve\"'")
    ]
    assert await press(tokens[0], sender=sender) == "decided"
    assert await acknowledged(bot_api) == "Approved."
    await deliver(await new_sender())

    assert (await get_approval("demo-pro", approval)).by_channel == "telegram"
    assert set(bot_api.edited) == {1001, 1002}
    assert all("✅ Approved in Telegram." in text for text in bot_api.edited.values())
    assert not any("reply_markup" in call.parameters for call in bot_api.calls if call.method == "editMessageText")


async def test_a_late_or_replayed_press_changes_nothing_and_says_so(bot_api: BotApi) -> None:
    approval, found = await asked(bot_api)
    await decide(Decision(approval=approval, choice="reject", user_id="demo-pro", channel="web"))

    assert [await press(token) for _, token in found] == ["refused", "refused"]

    assert await acknowledged(bot_api) == "This was rejected before on the web page. Nothing has changed."
    assert (await get_approval("demo-pro", approval)).state == "rejected"


async def test_nobody_else_can_press_a_button(bot_api: BotApi) -> None:
    await link("demo-free", 8)
    approval, found = await asked(bot_api)

    for sender in ("8", "9", "7' OR 1=1"):
        assert await press(found[0][1], sender=sender) == "unknown_button"
    await rows("UPDATE user_channel_links SET user_id = 'demo-free' WHERE channel_user_id = '7'")
    assert await press(found[0][1]) == "unknown_button", "the account speaks for another user now"

    assert await acknowledged(bot_api) == UNKNOWN
    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_a_token_that_nobody_gave_decides_nothing(bot_api: BotApi) -> None:
    approval, _ = await asked(bot_api)

    for token in ("approve", approval, f"approve:{approval}", "x\0y", "%"):
        assert await press(token) == "unknown_button"

    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_what_was_shown_is_what_is_approved(bot_api: BotApi) -> None:
    approval, found = await asked(bot_api)
    await rows("UPDATE chat_buttons SET digest = repeat('0', 64)")

    assert await press(found[0][1]) == "refused"

    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_an_approval_that_expires_says_so_in_its_message(bot_api: BotApi) -> None:
    await asked(bot_api)
    await rows("UPDATE approvals SET expires_at = clock_timestamp()")
    await expire_waits()
    await deliver(await new_sender())

    assert "Not decided in time" in bot_api.edited[1001]


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (refusal(400, "Bad Request: message to edit not found"), 2),
        (refusal(400, "Bad Request: message can't be edited"), 2),
        (refusal(400, "Bad Request: message is not modified: specified new message content"), 1),
    ],
)
async def test_a_message_that_can_not_be_edited_is_followed_by_another(
    bot_api: BotApi, reply: Reply, shown: int
) -> None:
    approval, _ = await asked(bot_api)
    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))
    bot_api.script.append(reply)

    await deliver(await new_sender())

    assert len(bot_api.texts(7)) == shown
    assert await rows("SELECT state FROM deliveries WHERE kind = 'approval_settled'") == [("sent",)]


async def test_an_approval_that_never_arrived_has_its_outcome_told_in_a_message_of_its_own(bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, "Bad Request: something is wrong"))
    approval = await something_waits("demo-pro")
    await deliver(await new_sender())
    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))

    await deliver(await new_sender())

    assert [visible_text(text).splitlines()[-1] for text in bot_api.texts(7)] == ["✅ Approved on the web page."]


async def test_a_question_of_few_answers_has_buttons(bot_api: BotApi) -> None:
    question, found = await asked(bot_api, "ask what")

    assert [label for label, _ in found] == ["red", "blue", "Don't answer"]
    assert await press(found[1][1]) == "decided"
    assert (await get_question("demo-pro", question)).state == "answered"
    assert await rows("SELECT values FROM questions") == [({"colour": "blue"},)]


async def test_a_question_can_be_left_unanswered_by_a_button(bot_api: BotApi) -> None:
    question, found = await asked(bot_api, "ask what")

    await press(found[-1][1])

    assert (await get_question("demo-pro", question)).state == "declined"


async def test_a_press_comes_through_the_webhook(bot_api: BotApi) -> None:
    approval, found = await asked(bot_api)
    update = {
        "update_id": 5,
        "callback_query": {
            "id": "42",
            "from": {"id": 7, "is_bot": False},
            "message": {"message_id": 1001, "date": 1, "chat": {"id": 7, "type": "private"}},
            "chat_instance": "1",
            "data": found[0][1],
        },
    }
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    async with serving(get_default_application()) as host, httpx.AsyncClient(base_url=f"http://{host}") as http:
        forged = await http.post(
            "/webhook/telegram", json=update, headers=headers | {"X-Telegram-Bot-Api-Secret-Token": "x"}
        )
        assert (await get_approval("demo-pro", approval)).state == "pending"
        answers = [await http.post("/webhook/telegram", json=update, headers=headers) for _ in range(2)]

    assert [forged.status_code, *(answer.status_code for answer in answers)] == [401, 200, 200]
    assert (await get_approval("demo-pro", approval)).state == "approved"
    assert await rows("SELECT count(*) FROM audit WHERE action = 'approval.approved'") == [(1,)]


async def test_a_row_that_can_not_become_a_message_holds_up_no_other(bot_api: BotApi) -> None:
    await something_waits("demo-pro")
    await rows("UPDATE outbox SET payload = '{}'")
    await something_waits("demo-pro")

    await deliver(await new_sender())

    assert len(bot_api.texts(7)) == 1
    assert await rows("SELECT state FROM deliveries ORDER BY id LIMIT 1") == [("failed",)]


HOSTILE = "**Approved** [here](https://evil.example) `x` <b>y</b>\n\n# Title"


def test_what_a_tool_wrote_is_no_markup_in_a_chat() -> None:
    payload = {
        "approval": "01a21749-8bf3-7729-891d-b4fc426ce0bb",
        "title": HOSTILE,
        "details": {HOSTILE: HOSTILE, "n": [1, {"a": True}], "yes": True},
        "expires_at": "2026-01-01T12:30:00Z",
    }

    html = telegram_html(asking_words.approval(payload))

    assert "<a " not in html
    assert "# Title" in visible_text(html)
    assert "[here](https://evil.example)" in visible_text(html)
    assert "12:30 UTC" in html


FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "number", "title": "Size"},
        "side": {"enum": ["b", "s"], "enumNames": ["Buy", "Sell"]},
        "sure": {"type": "boolean"},
        "note": {"type": "string"},
    },
    "required": ["size", "side"],
}


def test_a_form_is_typed_a_line_for_each_value() -> None:
    typed = "size: 1.5\nSIDE: buy\nsure: yes\nnote: a: b\nnothing: 1"

    assert read_typed(FORM, typed) == {"size": 1.5, "side": "b", "sure": True, "note": "a: b"}
    assert complaint(FORM, read_typed(FORM, typed)) is None
    assert complaint(FORM, read_typed(FORM, "size: much")) is not None
    assert [field.name for field in fields(FORM) if field.required] == ["size", "side"]
    assert buttons(FORM) == []
    text = asking_words.question(
        {"question": "0" * 36, "text": "How?", "schema": FORM, "expires_at": "2026-01-01T12:30:00Z"}, with_buttons=False
    )
    assert "size: …" in text


@pytest.mark.parametrize("typed", ["nan", "inf", "1e999", "1" * 5000, "٣", ""])
def test_a_number_that_is_none_stays_what_was_typed(typed: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number"}}}

    assert complaint(schema, read_typed(schema, typed)) is not None or typed == "٣"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"$ref": "https://evil.example/schema"}}},
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"type": "object", "properties": {f"p{number}": {} for number in range(21)}},
        {"type": "object", "description": "x" * 20_000},
        {"type": "object", "properties": {"x": {"$dynamicRef": "http://elsewhere.example/schema"}}},
        {"type": "object", "properties": {"x": {"$id": "http://elsewhere.example/schema"}}},
    ],
)
def test_a_schema_that_is_no_form_is_refused(schema: dict[str, Any]) -> None:
    assert schema_fault(schema) is not None
    assert schema_fault(FORM) is None
