"""What leaves for the chats. Source: DESIGN.md section 5: deliveries (intent, attempts, receipt); PLATFORMS, Telegram."""

from typing import Any

import pytest

from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from agents.tests.engine import say
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.settling import Outcome, settle
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BotApi, flood
from channels_app.tests.chats.sending import Sender, answer, let_all_be_due, new_sender, tell
from channels_app.tests.chats.tables import rows
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.usefixtures("pool", "bot_api", "linked")


@pytest.fixture
async def sender(pool: None) -> Sender:
    return await new_sender()


async def test_an_answer_becomes_one_message_with_a_receipt_and_its_text_is_erased(
    sender: Sender, bot_api: BotApi
) -> None:
    await answer("The **RSI** is 61.2.")

    assert await take_outbox() == 1
    await sender.send_next()

    assert bot_api.texts(7) == ["The <b>RSI</b> is 61.2."]
    [(state, attempts, receipt, body, digest, user)] = await rows(
        "SELECT state, attempts, receipt, body, digest, user_id FROM deliveries"
    )
    assert (state, attempts, receipt, body, user) == ("sent", 1, "1001", None, "demo-pro")
    assert len(digest) == 64
    assert await rows("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        (
            "failed",
            {"content": "", "code": "x", "message": "The model can't be reached."},
            "The model can't be reached.",
        ),
        ("cancelled", {"content": ""}, "Stopped."),
        ("cancelled", {"content": "Half of"}, "Half of\n\nStopped."),
        ("done", {"content": " "}, "There is no answer to show."),
        ("done", {"content": "A chart.", "notices": ["x/*y* can't see."]}, "A chart.\n\nℹ️ x/*y* can't see."),
    ],
)
async def test_every_end_of_a_turn_is_told(kind: str, payload: dict[str, Any], said: str) -> None:
    await answer(kind=kind, **payload)

    await take_outbox()

    assert await rows("SELECT kind, body->>'text' FROM deliveries") == [(kind, said)]


async def test_a_long_answer_is_sent_in_order_and_its_first_message_quotes_among_other_requests(
    sender: Sender, bot_api: BotApi
) -> None:
    await say("Something else", channel="telegram")
    paragraphs = [f"{number}: " + "words " * 500 for number in range(4)]
    await answer("\n\n".join(paragraphs))
    await take_outbox()

    while await sender.send_next():
        await let_all_be_due()

    assert len(bot_api.texts(7)) == 4
    assert [text[0] for text in bot_api.texts(7)] == ["0", "1", "2", "3"]
    assert ["reply_parameters" in call.parameters for call in bot_api.calls] == [True, False, False, False]


async def test_a_row_that_cant_become_a_message_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, OutboxRow(new_id(), None, "demo-pro", "pigeon", {}, "done", {"content": "lost"}))
        await put_outbox(conn, OutboxRow(new_id(), None, "demo-pro", "telegram", {}, "done", {"content": "lost"}))
    await answer("kept")

    await take_outbox()

    assert await rows("SELECT state, error, body->>'text' FROM deliveries ORDER BY state, id") == [
        ("failed", "It can't become a message (KeyError).", None),
        ("failed", "It can't become a message (KeyError).", None),
        ("pending", "", "kept"),
    ]
    assert caplog.text.count("outbox_row_unusable") == 2


async def test_what_has_the_same_origin_is_told_once() -> None:
    await tell("first", origin="telegram:1:1")
    await tell("second", origin="telegram:1:1")

    assert await rows("SELECT body->>'text' FROM deliveries") == [("first",)]


async def test_a_chat_rests_between_messages_and_another_does_not(sender: Sender, bot_api: BotApi) -> None:
    """Source: Bot API FAQ: no more than one message a second in one chat."""
    await tell("one")
    await tell("two")
    await tell("elsewhere", chat=8)

    await sender.send_next()
    await sender.send_next()

    assert await sender.send_next() is None
    assert [text for _, text in bot_api.shown] == ["one", "elsewhere"]
    await let_all_be_due()
    await sender.send_next()
    assert bot_api.texts(7) == ["one", "two"]


async def test_a_wait_of_telegrams_holds_for_the_whole_chat_and_every_worker(sender: Sender, bot_api: BotApi) -> None:
    bot_api.script.append(flood(40))
    await tell("first")
    await sender.send_next()
    await tell("said meanwhile")
    await tell("elsewhere", chat=8)

    other = await new_sender()
    await other.send_next()

    assert bot_api.shown == [(8, "elsewhere")]
    assert await other.claim() is None
    [(wait,)] = await rows(
        "SELECT extract(epoch FROM not_before - clock_timestamp()) FROM chat_lanes WHERE key = 'telegram:7'"
    )
    assert 38 < wait <= 40

    await let_all_be_due()
    await other.send_next()
    assert bot_api.texts(7) == ["first"]


async def test_a_later_pause_never_shortens_an_earlier_one(sender: Sender) -> None:
    await tell("text")
    claim = await sender.claim()
    assert claim is not None
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp() + interval '60 s'")

    await settle(claim, Outcome(DeliveryState.SENT, pause_s=1))

    assert await rows("SELECT not_before > clock_timestamp() + interval '50 s' FROM chat_lanes") == [(True,)]
