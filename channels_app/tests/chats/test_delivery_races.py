"""What comes between two steps of a delivery. Source: DESIGN.md section 5: every message once, whatever dies meanwhile."""

import asyncio

import psycopg
import pytest

from agents.approvals import Decision, decide
from agents.tests.engine import something_waits
from channels_app.deliveries.attempts import attempt
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.rows import Claim, begin_sending, let_go, rest
from channels_app.deliveries.settling import settle
from channels_app.deliveries.sweeping import sweep
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BLOCKED, BotApi, refusal
from channels_app.tests.chats.sending import Sender, answer, deliver, let_all_be_due, new_sender, tell
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_dispatcher import refused, running, settled

GONE = refusal(400, "Bad Request: message to edit not found")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("linked", "pool")]


@pytest.fixture
async def sender(pool: None, bot_api: BotApi) -> Sender:
    return await new_sender()


async def approve(approval: str) -> None:
    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))


async def about_to_edit_what_is_gone(sender: Sender, bot_api: BotApi) -> Claim:
    """An outcome that takes the place of its question, which is deleted in the chat."""
    approval = await something_waits("demo-pro")
    await deliver(sender)
    await approve(approval)
    await take_outbox()
    await let_all_be_due()
    bot_api.script.append(GONE)
    claim = await sender.claim()
    assert claim is not None
    assert await begin_sending(claim, holder=sender.id)
    return claim


async def test_what_is_decided_before_it_is_asked_in_a_chat_keeps_no_buttons(sender: Sender, bot_api: BotApi) -> None:
    """Question and outcome lie in the outbox together."""
    approval = await something_waits("demo-pro")
    await approve(approval)
    assert await rows("SELECT count(*) FROM outbox") == [(2,)]

    await deliver(sender)

    assert len(bot_api.texts(7)) == 1
    assert "Approved" in bot_api.edited[1001]
    assert "reply_markup" not in bot_api.calls[-1].parameters


async def test_a_message_sent_anew_because_the_earlier_one_is_gone_is_not_sent_again_by_another(
    sender: Sender, bot_api: BotApi
) -> None:
    """Its worker is killed between the platform's answer and the receipt."""
    claim = await about_to_edit_what_is_gone(sender, bot_api)
    await attempt(claim)
    await sender.die()

    assert await sweep() == [("telegram", DeliveryState.AMBIGUOUS)]
    bot_api.script.append(GONE)
    await deliver(await new_sender())

    assert len([text for text in bot_api.texts(7) if "Approved" in text]) == 1


async def test_a_message_whose_claim_is_lost_meanwhile_is_not_sent_anew(sender: Sender, bot_api: BotApi) -> None:
    claim = await about_to_edit_what_is_gone(sender, bot_api)
    await sender.die()

    outcome = await attempt(claim)

    assert (outcome.state, outcome.error) == (DeliveryState.PENDING, "claim_lost")
    assert len(bot_api.texts(7)) == 1


async def test_a_wait_that_comes_between_claim_and_send_is_kept(sender: Sender, bot_api: BotApi) -> None:
    await tell("later")
    claim = await sender.claim()
    assert claim is not None
    await rest("telegram:7", seconds=60)

    assert not await begin_sending(claim, holder=sender.id)
    assert await let_go(claim)

    assert await sender.claim() is None
    await deliver(await new_sender())
    assert bot_api.texts(7) == ["later"]
    assert await rows("SELECT state, attempts FROM deliveries") == [("sent", 1)]


async def test_a_send_that_has_begun_is_begun_whatever_its_chat_is_told_after(sender: Sender) -> None:
    """The answer to a commit may be lost while the commit is not; that row is no longer anybody else's to send."""
    await tell("text")
    claim = await sender.claim()
    assert claim is not None
    assert await begin_sending(claim, holder=sender.id)
    await rest("telegram:7", seconds=60)

    assert await begin_sending(claim, holder=sender.id)
    assert not await let_go(claim)


async def test_a_worker_leaves_a_message_whose_chat_has_begun_to_rest_to_a_later_time(bot_api: BotApi) -> None:
    """The wait comes while the message waits for its slot."""
    await rest("telegram", seconds=1)
    await tell("later")
    async with running():
        async with asyncio.timeout(60):
            while not await rows("SELECT 1 FROM deliveries WHERE holder IS NOT NULL"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await rest("telegram:7", seconds=60)
        async with asyncio.timeout(60):
            while await rows("SELECT holder, attempts FROM deliveries") != [(None, 0)]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert bot_api.calls == []
        await rows("UPDATE chat_lanes SET not_before = clock_timestamp()")
        await settled(1)

    assert bot_api.texts(7) == ["later"]


async def test_a_closed_chat_fails_its_message_and_ends_its_link_in_one_step(sender: Sender, bot_api: BotApi) -> None:
    """Killed in between, no other worker would know that the link has to end."""
    await link("demo-pro", 8)
    await answer("text")
    await take_outbox()
    bot_api.script.append(refusal(403, BLOCKED))
    claim = await sender.claim()
    assert claim is not None
    assert await begin_sending(claim, holder=sender.id)
    outcome = await attempt(claim)
    async with refused("DELETE", "user_channel_links"):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await settle(claim, outcome)
        assert await rows("SELECT state FROM deliveries") == [("sending",)]

    await settle(claim, outcome)
    await deliver(sender)

    assert await rows("SELECT channel_user_id FROM user_channel_links") == [("8",)]
    assert len(bot_api.texts(8)) == 1
    assert bot_api.texts(7) == []


async def test_two_chats_of_a_user_that_close_in_one_moment_both_end_their_links(
    sender: Sender, bot_api: BotApi
) -> None:
    """Each tells the other: neither waits for what the other holds."""
    await link("demo-pro", 8)
    for chat in (7, 8):
        await answer("text", chat=chat)
    await take_outbox()
    claims = []
    for _ in range(2):
        bot_api.script.append(refusal(403, BLOCKED))
        claim = await sender.claim()
        assert claim is not None
        assert await begin_sending(claim, holder=sender.id)
        claims.append((claim, await attempt(claim)))

    ended = await asyncio.gather(*(settle(claim, outcome) for claim, outcome in claims))

    # What the first says in the other's chat fails with that.
    assert sorted(ended) == [1, 2]

    assert await rows("SELECT count(*) FROM user_channel_links") == [(0,)]
