"""An answer that grows in its chat, and what else is said there. Source: DESIGN.md section 5: each chat in order."""

import pytest

from agents.events import Snapshot
from agents.journal import journal
from agents.tests.engine import TestWorker
from agents.writer import encode
from channels_app.tests.chats.bot_api import CUT, BotApi
from channels_app.tests.chats.contract import Previewing
from channels_app.tests.chats.sending import Sender, deliver, let_all_be_due, new_sender, tell
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_typing import begun

pytestmark = pytest.mark.usefixtures("licensed", "linked")

LATE = (
    "SELECT attempts, extract(epoch FROM run_after - clock_timestamp())::float FROM deliveries WHERE kind = 'preview'"
)


@pytest.fixture
async def sender(pool: None, bot_api: BotApi) -> Sender:
    return await new_sender()


async def grown(worker: TestWorker, sender: Sender) -> tuple[str, Previewing]:
    """A turn whose first word is shown, and the next one waits."""
    turn, previewing = await begun(worker)
    await previewing.say(turn, "One.")
    await previewing.look()
    await deliver(sender)
    await previewing.say(turn, " Two.")
    await previewing.look()
    await let_all_be_due()
    return turn, previewing


async def test_what_else_is_said_comes_before_the_next_edit_and_the_answer_ends_in_its_place(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    turn, previewing = await grown(worker, sender)
    await tell("BTC is below 50000")

    await sender.send_next()
    assert (bot_api.texts(7), bot_api.edited) == (["One.", "BTC is below 50000"], {})

    await let_all_be_due()
    await sender.send_next()
    assert bot_api.edited == {1001: "One. Two."}
    await previewing.say(turn, " Three.")
    await previewing.look()
    await worker.order(turn, "finish")
    await worker.done(turn)
    await deliver(sender)
    assert bot_api.edited == {1001: "One. Two. Three."}
    assert bot_api.texts(7) == ["One.", "BTC is below 50000"]


async def test_an_answer_that_is_begun_anew_shrinks_for_nobody(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    """Source: a preview that was cut to its first words for a moment when another worker took the turn over."""
    turn, _ = await grown(worker, sender)
    await deliver(sender)
    assert bot_api.edited == {1001: "One. Two."}
    [(conversation, fence)] = await rows("SELECT conversation_id::text, fence FROM turns")
    begun_anew = Previewing(worker)
    for text in ("One.", "One. Two, and three."):
        await journal().append(turn, [encode(Snapshot(content=text), turn, conversation)], fence=fence)
        await begun_anew.look()
        await let_all_be_due()
        await deliver(sender)
        assert bot_api.edited[1001] == max(text, "One. Two.", key=len)


async def test_an_edit_waits_for_no_message_that_has_to_wait_longer(sender: Sender, worker: TestWorker) -> None:
    await grown(worker, sender)
    await tell("refused for now")
    await rows("UPDATE deliveries SET run_after = clock_timestamp() + interval '5 min' WHERE kind = 'text'")

    claim = await sender.claim()

    assert claim is not None
    assert claim.kind == "preview"


@pytest.mark.parametrize("first", ["preview", "text"])
async def test_a_chat_has_one_message_on_its_way_be_it_an_edit(sender: Sender, worker: TestWorker, first: str) -> None:
    """Either may come while the other waits for its slot."""
    turn, previewing = await grown(worker, sender)
    if first == "text":
        await tell("first")
    claim = await sender.claim()
    assert claim is not None
    assert claim.kind == first
    if first == "text":
        await previewing.say(turn, " Three.")
        await previewing.look()
    else:
        await tell("second")
    await let_all_be_due()

    assert await sender.claim() is None


async def test_answers_that_grow_in_one_chat_take_turns(sender: Sender, worker: TestWorker) -> None:
    await grown(worker, sender)
    await rows(
        "INSERT INTO deliveries (origin, part, turn_id, user_id, account, channel, lane_id, target, kind, body, digest, edits,"
        " state, receipt, error, attempts, fence, run_after, created_at) SELECT 'other', part, turn_id, user_id, account,"
        " channel, lane_id, target, kind, body, digest, 'other', state, receipt, error, attempts, fence,"
        " run_after - interval '1 second', created_at FROM deliveries"
    )

    await sender.send_next()

    assert await rows("SELECT origin FROM deliveries WHERE state = 'sent'") == [("other",)]


async def test_an_edit_that_fails_after_many_good_ones_is_made_again_soon(
    sender: Sender, worker: TestWorker, bot_api: BotApi
) -> None:
    """Each text has attempts of its own."""
    turn, previewing = await grown(worker, sender)
    for number in range(4):
        await deliver(sender)
        await previewing.say(turn, f" {number}.")
        await previewing.look()
    bot_api.script.append(CUT)
    await let_all_be_due()
    await sender.send_next()

    [(attempts, wait_s)] = await rows(LATE)
    assert (attempts, wait_s < 3) == (1, True)


async def test_a_growing_answer_never_rests_for_long(sender: Sender, worker: TestWorker, bot_api: BotApi) -> None:
    await grown(worker, sender)
    await rows("UPDATE deliveries SET attempts = 12 WHERE state = 'pending'")
    bot_api.script.append(CUT)
    await sender.send_next()

    [(attempts, wait_s)] = await rows(LATE)
    assert (attempts, wait_s < 6) == (13, True)
