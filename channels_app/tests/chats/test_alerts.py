"""An alert on its way to Telegram: it counts as delivered with Telegram's receipt, and not before.

Source: DESIGN.md section 5, deliveries.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.licences import active_licence
from agents.schedules.alerts import Change, settle
from agents.schedules.crossings import Bar
from agents.schedules.prices import Prices
from agents.schedules.rows import AlertSpec, FirstLook, Where, add_alert, schedules_of
from channels_app.deliveries.refused import ALERT_MISSING
from channels_app.tests.chats.bot_api import BotApi, refusal
from channels_app.tests.chats.sending import deliver, new_sender
from channels_app.tests.chats.tables import link
from channels_app.tests.chats.test_dispatcher import running, settled
from gateway.db import connection

pytestmark = pytest.mark.usefixtures("pool", "bot_api")


async def fire() -> None:
    """An alert of demo-pro's for chat 1 comes true."""
    await link("demo-pro", 1)
    bar = Bar("2024-01-02", Decimal(2), Decimal(1), Decimal(1))
    async with connection() as conn, conn.transaction():
        licence, spec = await active_licence("demo-pro"), AlertSpec("BTC", "below", Decimal(2))
        alert = await add_alert(
            conn, licence, spec, where=Where("telegram", {"chat": 1, "message": 9}), look=FirstLook()
        )
    change = Change(timedelta(1), prices=Prices("BTC", (bar,)), fired=bar, armed=False, text="BTC fell", what="x")
    await settle(alert, change)


async def test_an_alert_is_marked_delivered_with_telegrams_message_id(users: dict[str, str], bot_api: BotApi) -> None:
    await fire()
    [before] = await schedules_of("demo-pro")
    assert before.fired_at is not None
    assert before.delivered_at is None
    async with running():
        await settled(1)

    [after] = await schedules_of("demo-pro")
    assert after.delivered_at is not None
    async with connection() as conn:
        row = await (await conn.execute("SELECT s.receipt, d.receipt FROM schedules s, deliveries d")).fetchone()
    assert row is not None
    assert row[0] == row[1] != ""
    # In answer to nothing: what made it was read long ago.
    assert "reply_parameters" not in bot_api.calls[-1].parameters


async def test_an_alert_that_is_refused_is_called_an_alert(users: dict[str, str], bot_api: BotApi) -> None:
    """Source: "A part of this answer", said of what answers nothing."""
    await fire()
    bot_api.script.append(refusal(400, "Bad Request: message text is empty"))
    await deliver(await new_sender())

    assert bot_api.texts(1) == [ALERT_MISSING]
