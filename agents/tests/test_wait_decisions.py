"""What decides a turn that waits: questions and their values, typed commands, and what must not.

Source: DESIGN sections 2 and 6.
"""

from typing import Any

import pytest

from agents.approvals import Decision, decide, get_approval, list_approvals
from agents.conversations import create_conversation, delete_conversation
from agents.errors import Refused
from agents.questions import Reply, get_question, reply
from agents.tests.engine import (
    ScriptedBrain,
    TestWorker,
    answer,
    frames,
    row,
    say,
    something_waits,
    types,
)
from agents.tests.waits import approve, wait_for_yes
from agents.turns import cancel_turn
from agents.waits import code_of, erase_words
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def test_a_question_is_answered_with_values_that_fit_its_schema(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Paint it")
    question = await wait_for_yes(worker, order="ask what")
    assert await row(accepted.turn, "state") == ("awaiting_answer",)

    for values in ({"colour": "green"}, {}, {"colour": ["red"]}):
        with pytest.raises(Refused) as refused:
            await reply(Reply(question=question, user_id="demo-pro", channel="web", values=values))
        assert refused.value.code == "invalid"
    await reply(Reply(question=question, user_id="demo-pro", channel="web", values={"colour": "red"}))
    with pytest.raises(Refused, match="answered before on the web page"):
        await reply(Reply(question=question, user_id="demo-pro", channel="web", values={"colour": "blue"}))
    await answer(worker, "Red it is.")

    [resumed] = brain.resumed[accepted.turn]
    assert (resumed.kind, resumed.decision, resumed.values) == ("question", "answered", {"colour": "red"})
    kinds = await types(accepted.turn)
    assert kinds.count("question") == kinds.count("question_settled") == 1


async def test_a_question_may_be_left_unanswered(brain: ScriptedBrain, worker: TestWorker) -> None:
    accepted = await say("Paint it")
    question = await wait_for_yes(worker, order="ask what")

    await reply(Reply(question=question, user_id="demo-pro", channel="web"))
    await answer(worker)

    assert (brain.resumed[accepted.turn][0].decision, brain.resumed[accepted.turn][0].values) == ("declined", None)


@pytest.mark.parametrize("name", ["whole", "code"])
async def test_typed_commands_decide_by_id_or_its_end(worker: TestWorker, name: str) -> None:
    approval = await something_waits("demo-pro")
    question = await something_waits("demo-pro", "ask what")
    ids = {"whole": (approval, question), "code": (code_of(approval), code_of(question))}[name]

    approved = await say(f"/approve {ids[0]} go ahead", channel="telegram")
    again = await say(f"/reject {ids[0]}")
    answered = await say(f"/answer {ids[1]} blue")

    assert (await frames(approved.turn))[-1]["content"] == "Approved. It goes on."
    assert (await frames(again.turn))[-1]["content"].startswith("This was approved before in Telegram.")
    assert (await frames(answered.turn))[-1]["content"] == "Thank you. It goes on."
    view = await get_approval("demo-pro", approval)
    assert (view.state, view.by_channel, view.comment) == ("approved", "telegram", "go ahead")
    assert (await get_question("demo-pro", question)).state == "answered"


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ("/approve", "Nothing waits"),
        ("/approve nothing", "You have no approval"),
        ("/approve %", "You have no approval"),
        ("/answer", "Type /answer"),
        ("/answer 0123456789", "You have no question"),
    ],
)
async def test_a_command_that_names_nothing_says_so(worker: TestWorker, command: str, starts: str) -> None:
    assert (await frames((await say(command)).turn))[-1]["content"].startswith(starts)


async def test_a_bare_command_lists_what_waits_and_decides_nothing(worker: TestWorker) -> None:
    approval = await something_waits("demo-pro")

    listed = await say("/approve")

    assert f"`/approve {code_of(approval)}`" in (await frames(listed.turn))[-1]["content"]
    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_anothers_approval_is_one_that_does_not_exist(worker: TestWorker) -> None:
    approval = await something_waits("demo-pro")

    for user in ("demo-free", "demo-enterprise"):
        with pytest.raises(Refused) as refused:
            await decide(Decision(approval=approval, choice="approve", user_id=user, channel="web"))
        assert refused.value.code == "not_found"
        typed = await say(f"/approve {approval}", user=user)
        assert (await frames(typed.turn))[-1]["content"].startswith("You have no approval")
    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_what_is_not_what_was_shown_can_not_be_approved(worker: TestWorker) -> None:
    approval = await something_waits("demo-pro")
    with pytest.raises(Refused) as other:
        await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web", digest="0" * 64))
    async with connection() as conn:
        await conn.execute("UPDATE approvals SET covered = replace(covered, 'SPX', 'BTC')")
    with pytest.raises(Refused) as changed:
        await decide(approve(approval))

    assert (other.value.code, changed.value.code) == ("changed", "changed")
    assert (await get_approval("demo-pro", approval)).state == "pending"


async def test_what_was_asked_is_erased_with_the_turns_texts_and_the_digest_stays(worker: TestWorker) -> None:
    await say("Deploy it")
    approval = await wait_for_yes(worker)
    await erase_words()
    before = await get_approval("demo-pro", approval)
    await decide(approve(approval, comment="secret plans"))
    await answer(worker)

    await erase_words()

    after = await get_approval("demo-pro", approval)
    assert (before.title, before.details["Strategy"]) == ("Deploy golden-cross to SPX", "golden-cross")
    assert list(before.details) == ["Strategy", "Worst loss", "Fee"], "in the order in which they are to be read"
    assert (after.title, after.details, after.comment, after.digest) == ("", {}, "", before.digest)


async def test_a_conversation_with_a_waiting_turn_is_not_deleted_under_it(worker: TestWorker) -> None:
    conversation = (await create_conversation("demo-pro")).id
    accepted = await say("Deploy it", conversation=conversation)
    await wait_for_yes(worker)
    with pytest.raises(Refused):
        await delete_conversation("demo-pro", conversation)

    await cancel_turn(accepted.turn, user_id="demo-pro")
    assert await worker.care()
    await delete_conversation("demo-pro", conversation)

    assert await list_approvals("demo-pro") == []


async def test_with_redis_away_a_turn_waits_all_the_same_and_shows_it_when_redis_is_back(
    worker: TestWorker, settings: Any
) -> None:
    accepted = await say("Deploy it")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    approval = await wait_for_yes(worker)
    settings.REDIS_URL = ""

    assert await worker.care()

    assert (await types(accepted.turn))[-1] == "approval"
    await decide(approve(approval))
