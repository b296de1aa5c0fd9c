"""What a task says comes by itself, so it says which task it is, in whatever chat it comes. Source: DESIGN.md section 10."""

import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from accounts.licences import LicenceChange, active_licence
from accounts.licences import set_licence as change_licence
from agents.schedules.rows import Schedule, TaskSpec, Where, add_task, delete_schedule
from agents.schedules.rules import Rule, zone_of
from agents.schedules.tasks import run_due
from agents.tests.engine import ScriptedBrain, TestWorker, frames
from channels_app.channels import Target
from channels_app.tests.chats.contract import Chat, Previewing
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.driver import Driver
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)

IN_ONE = pytest.mark.parametrize("driver", ["telegram"], indirect=True)
TEXT = "RSI of *SPX*?"


async def add(where: Where, text: str = TEXT) -> Schedule:
    zone = zone_of("UTC")
    assert zone is not None
    async with connection() as conn, conn.transaction():
        spec = TaskSpec(Rule("daily", 8, 0), zone, text)
        return await add_task(conn, await active_licence("demo-pro"), spec, where=where)


async def begun(chat: Chat, worker: TestWorker, text: str = TEXT) -> tuple[Schedule, str]:
    """A task of the chat's that was due, and its turn."""
    task = await add(Where(chat.driver.channel.name, chat.driver.target()), text)
    assert await run_due(now=task.due_at)
    turn = await worker.claim()
    assert turn is not None
    return task, turn


def read(shown: str) -> str:
    """Without a platform's markup."""
    return re.sub(r"</?b>|[*\\]", "", shown)


async def answered(chat: Chat, worker: TestWorker, turn: str, text: str) -> None:
    await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)
    await chat.deliver()


async def test_a_tasks_answer_names_its_task_in_every_channel_and_is_kept_without_that(
    chat: Chat, worker: TestWorker
) -> None:
    _, turn = await begun(chat, worker)

    await answered(chat, worker, turn, "It is 61.8.")

    [shown] = chat.driver.shown()
    assert read(shown) == "⏰ Task 1, daily 08:00 (UTC): RSI of SPX?\n\nIt is 61.8."
    [question, *_, done] = await frames(turn)
    assert (question["content"], done["content"]) == (f"[Scheduled daily 08:00] {TEXT}", "It is 61.8.")
    assert isinstance(worker.brain, ScriptedBrain)
    assert [message["content"] for message in worker.brain.stored[turn]] == [question["content"], "It is 61.8."]


async def test_it_does_so_while_it_is_written(chat: Chat, worker: TestWorker) -> None:
    _, turn = await begun(chat, worker)
    previewing = Previewing(worker)
    await previewing.say(turn, "It is")
    await previewing.look()
    await chat.deliver()

    for shown in chat.driver.shown():
        assert read(shown) == "⏰ Task 1, daily 08:00 (UTC): RSI of SPX?\n\nIt is"

    await answered(chat, worker, turn, " 61.8.")
    assert [read(shown) for shown in chat.driver.shown()] == [
        "⏰ Task 1, daily 08:00 (UTC): RSI of SPX?\n\nIt is 61.8."
    ]


@IN_ONE
async def test_a_task_that_was_deleted_meanwhile_is_one_all_the_same(chat: Chat, worker: TestWorker) -> None:
    task, turn = await begun(chat, worker)
    await delete_schedule(task.id, user_id="demo-pro")

    await answered(chat, worker, turn, "It is 61.8.")

    assert [read(shown) for shown in chat.driver.shown()] == ["⏰ A scheduled task\n\nIt is 61.8."]


@IN_ONE
async def test_long_words_are_cut_and_lines_are_joined(chat: Chat, worker: TestWorker) -> None:
    _, turn = await begun(chat, worker, "one\ntwo " + "word " * 300)

    await answered(chat, worker, turn, "Done.")

    [shown] = chat.driver.shown()
    first, _, rest = read(shown).partition("\n")
    assert first.startswith("⏰ Task 1, daily 08:00 (UTC): one two word")
    assert first.endswith("…")
    assert len(first) < 150
    assert rest.strip() == "Done."


@IN_ONE
async def test_a_paused_task_says_which_it_is(chat: Chat) -> None:
    task = await add(Where(chat.driver.channel.name, chat.driver.target()))
    await sync_to_async(change_licence)("demo-pro", LicenceChange(features={"schedules": False}))

    assert await run_due(now=task.due_at + timedelta(minutes=1))
    await chat.deliver()

    [shown] = chat.driver.shown()
    assert read(shown).startswith("⏰ Task 1, daily 08:00 (UTC): RSI of SPX?\n\nThis task is paused: ")


@IN_ONE
@pytest.mark.parametrize("key", ["schedule:x:y", "schedule:00000000-0000-0000-0000-00000000000:z", "schedule:"])
async def test_a_message_whose_id_looks_like_a_tasks_is_none(chat: Chat, worker: TestWorker, key: str) -> None:
    """Ids of messages are their senders' to choose, in some channels."""
    await chat.write("Hi")
    await rows(f"UPDATE turns SET external_id = '{key}'")
    turn = await worker.claim()
    assert turn is not None

    await answered(chat, worker, turn, "Hello.")

    assert [read(shown) for shown in chat.driver.shown()] == ["Hello."]


@IN_ONE
async def test_a_tasks_answer_quotes_no_message_also_when_another_was_asked_since(
    chat: Chat, worker: TestWorker
) -> None:
    """What made the task was read long ago."""
    _, turn = await begun(chat, worker)
    await chat.write("And ETH?", number=2)
    previewing = Previewing(worker)
    await previewing.say(turn, "It is")
    await previewing.look()
    await chat.deliver()
    await answered(chat, worker, turn, " 61.8.")

    assert await rows("SELECT DISTINCT target FROM deliveries") == [({"chat": int(chat.driver.account)},)]


@pytest.mark.parametrize("driver", ["webhook"], indirect=True)
async def test_a_callback_is_told_that_a_tasks_answer_answers_nothing_in_its_thread(
    chat: Chat, worker: TestWorker
) -> None:
    """Source: docs/channels.md, `reply_to`."""
    task = await add(Where("webhook", {"account": "ada", "thread": "t", "reply_to": "m1"}))
    assert await run_due(now=task.due_at)
    turn = await worker.claim()
    assert turn is not None
    await answered(chat, worker, turn, "It is 61.8.")

    assert await rows("SELECT target FROM deliveries") == [({"account": "ada", "thread": "t", "reply_to": ""},)]


@pytest.mark.parametrize(
    ("driver", "made_in", "told_in"),
    [
        ("telegram", {"chat": -1, "user": 7, "topic": 3, "message": 9}, {"chat": -1, "user": 7, "topic": 3}),
        ("slack", {"team": "T", "user": "U", "channel": "D", "thread": "1"}, None),
        ("discord", {"user": "7", "interaction": "1", "token": "x", "guild": "2"}, {"user": "7"}),
        ("discord", {"user": "7", "channel": "1", "message": "2"}, None),
        (
            "webhook",
            {"account": "ada", "thread": "t", "reply_to": "m1"},
            {"account": "ada", "thread": "t", "reply_to": ""},
        ),
    ],
    indirect=["driver"],
)
def test_what_comes_by_itself_stays_in_its_thread_and_answers_nothing(
    driver: Driver, made_in: Target, told_in: Target | None
) -> None:
    assert driver.channel.unasked(made_in) == (told_in or made_in)
    assert driver.channel.chat_of(driver.channel.unasked(made_in)) == driver.channel.chat_of(made_in)
