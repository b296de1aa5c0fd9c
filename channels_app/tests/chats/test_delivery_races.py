"""What comes between two steps of a delivery. Source: DESIGN.md section 5: every message once, whatever dies meanwhile."""

import pytest

from agents.approvals import Decision, decide
from agents.tests.engine import something_waits
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.sending import Sender, deliver, new_sender
from channels_app.tests.chats.tables import rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("linked", "pool")]


@pytest.fixture
async def sender(pool: None, bot_api: BotApi) -> Sender:
    return await new_sender()


async def approve(approval: str) -> None:
    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))


async def test_what_is_decided_before_it_is_asked_in_a_chat_keeps_no_buttons(sender: Sender, bot_api: BotApi) -> None:
    """Question and outcome lie in the outbox together."""
    approval = await something_waits("demo-pro")
    await approve(approval)
    assert await rows("SELECT count(*) FROM outbox") == [(2,)]

    await deliver(sender)

    assert len(bot_api.texts(7)) == 1
    assert "Approved" in bot_api.edited[1001]
    assert "reply_markup" not in bot_api.calls[-1].parameters
