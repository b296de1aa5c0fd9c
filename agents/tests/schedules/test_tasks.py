"""A task that is due becomes a turn, once, and what is in its way is told once. A virtual clock says what time it is.

Source: DESIGN sections 2 and 10.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts.licences import LicenceChange, active_licence, set_licence
from agents.errors import Refused
from agents.outbox import batch
from agents.schedules.rows import (
    MOST_SCHEDULES,
    AlertSpec,
    FirstLook,
    TaskSpec,
    Where,
    add_alert,
    add_task,
    delete_schedule,
    schedules_of,
)
from agents.schedules.rules import Rule, zone_of
from agents.schedules.tasks import run_due
from agents.tests.engine import frames, row, say
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
DAILY = Rule("daily", 8, 0)
TELEGRAM = Where("telegram", {"chat": 7})


async def add(
    text: str = "portfolio review", *, user: str = "demo-pro", rule: Rule = DAILY, where: Where = TELEGRAM
) -> Any:
    zone = zone_of("Europe/Berlin")
    assert zone is not None
    async with connection() as conn, conn.transaction():
        return await add_task(conn, await active_licence(user), TaskSpec(rule, zone, text), where=where)


async def all_due(now: datetime) -> int:
    """How many were due, all done."""
    done = 0
    while await run_due(now=now):
        done += 1
    return done


async def turns_of(schedule: Any) -> list[tuple[str, str, str]]:
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text, content, external_id FROM turns WHERE external_id LIKE %s ORDER BY accepted_at",
            (f"schedule:{schedule.id}:%",),
        )
        return await cursor.fetchall()


async def test_a_due_task_is_a_turn_of_its_channel_answered_by_its_workflow() -> None:
    task = await add()
    assert await all_due(task.due_at - timedelta(seconds=1)) == 0

    assert await all_due(task.due_at) == 1

    [(turn, content, external_id)] = await turns_of(task)
    assert content == "[Scheduled daily 08:00] portfolio review"
    assert external_id == f"schedule:{task.id}:{task.due_at.isoformat()}"
    assert await row(turn, "state", "channel", "reply_to") == ("queued", "telegram", {"chat": 7})
    assert [frame["type"] for frame in await frames(turn)] == ["user_message"]
    async with connection() as conn:
        cursor = await conn.execute("SELECT workflow FROM workflow_runs WHERE turn_id = %s", (turn,))
        assert await cursor.fetchone() == ("portfolio_review",)
    [after] = await schedules_of("demo-pro")
    assert after.due_at - task.due_at in {timedelta(hours=hours) for hours in (23, 24, 25)}


async def test_a_task_in_plain_words_is_for_the_agent() -> None:
    task = await add("How did SPX do today?")
    await all_due(task.due_at)

    [(turn, content, _)] = await turns_of(task)
    assert content.endswith("How did SPX do today?")
    async with connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM workflow_runs")).fetchone() == (0,)
    assert turn


async def test_however_many_workers_look_a_due_task_is_done_once() -> None:
    task = await add()

    await asyncio.gather(*(all_due(task.due_at) for _ in range(6)))

    assert len(await turns_of(task)) == 1


async def test_times_that_were_missed_are_made_up_for_once() -> None:
    task = await add()

    assert await all_due(task.due_at + timedelta(days=5, hours=2)) == 1

    assert len(await turns_of(task)) == 1
    [after] = await schedules_of("demo-pro")
    assert after.due_at > task.due_at + timedelta(days=5, hours=2)


async def test_days_pass_and_each_has_its_turn() -> None:
    task = await add(rule=Rule("weekdays", 8, 0))
    now = task.due_at

    for _ in range(14):
        await all_due(now)
        now += timedelta(days=1)

    assert len(await turns_of(task)) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (LicenceChange(expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "licence has expired"),
        (LicenceChange(features={"schedules": False}), "does not include schedules"),
        (LicenceChange(features={"channels": ["web"]}), "does not include Telegram"),
        (LicenceChange(features={"workflows": []}), "does not include the workflow portfolio_review"),
    ],
)
async def test_a_licence_that_no_longer_allows_it_pauses_a_task_and_says_so_once(
    change: LicenceChange, words: str
) -> None:
    task = await add()
    await sync_to_async(set_licence)("demo-pro", change)

    await all_due(task.due_at)
    await all_due(task.due_at + timedelta(days=1))
    await all_due(task.due_at + timedelta(days=2))

    [paused] = await schedules_of("demo-pro")
    assert paused.state == "paused"
    assert words in paused.reason
    async with batch() as (_, told):
        assert [each.kind for each in told] == ["alert"]
        assert words in told[0].payload["content"]


async def test_a_paused_task_goes_on_by_itself_when_the_licence_is_back() -> None:
    task = await add()
    await sync_to_async(set_licence)("demo-pro", LicenceChange(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
    await all_due(task.due_at)
    await sync_to_async(set_licence)("demo-pro", LicenceChange(never_expires=True))

    await all_due(task.due_at + timedelta(days=1))

    [again] = await schedules_of("demo-pro")
    assert (again.state, again.reason) == ("active", "")
    assert len([each for each in await turns_of(task) if ":pause:" not in each[2]]) == 1


async def test_a_limit_that_is_reached_skips_one_time_and_says_so() -> None:
    await sync_to_async(set_licence)("demo-pro", LicenceChange(limits={"messages_per_day": 1}))
    await say("Hello")
    task = await add()

    await all_due(task.due_at)

    [left] = await schedules_of("demo-pro")
    assert left.state == "active"
    async with batch() as (_, told):
        assert "could not be done this time" in told[0].payload["content"]


async def test_there_are_at_most_fifty_and_each_has_a_number_of_its_own() -> None:
    for _ in range(MOST_SCHEDULES):
        last = await add()
    with pytest.raises(Refused, match="50 schedules"):
        await add()

    await delete_schedule((await schedules_of("demo-pro"))[0].id, user_id="demo-pro")
    assert (await add()).number == last.number + 1


async def test_anothers_schedule_is_not_there() -> None:
    task = await add()
    for schedule in (task.id, "no id"):
        with pytest.raises(Refused) as refusal:
            await delete_schedule(schedule, user_id="demo-free")
        assert refusal.value.code == "not_found"


async def test_without_the_feature_nothing_is_added() -> None:
    await sync_to_async(set_licence)("demo-pro", LicenceChange(features={"schedules": False}))

    with pytest.raises(Refused, match="does not include schedules"):
        await add()
    spec, owner = AlertSpec("SPX", "below", Decimal(1)), await active_licence("demo-pro")
    async with connection() as conn, conn.transaction():
        with pytest.raises(Refused, match="does not include schedules"):
            await add_alert(conn, owner, spec, where=TELEGRAM, look=FirstLook())


async def test_a_task_that_breaks_holds_up_no_other() -> None:
    broken, whole = await add(), await add()
    async with connection() as conn:
        await conn.execute("UPDATE schedules SET spec = '{}' WHERE id = %s", (broken.id,))

    assert await all_due(whole.due_at) == 2

    assert len(await turns_of(whole)) == 1
    async with connection() as conn:
        cursor = await conn.execute("SELECT reason FROM schedules WHERE id = %s", (broken.id,))
        assert await cursor.fetchone() == ("Something went wrong on our side.",)


async def test_a_task_that_the_database_refuses_holds_up_no_other() -> None:
    refused, whole = await add("poison"), await add()
    async with connection() as conn:
        await conn.execute("ALTER TABLE turns ADD CONSTRAINT no_poison CHECK (content NOT LIKE '%poison%')")
    try:
        assert await all_due(whole.due_at) == 2
    finally:
        async with connection() as conn:
            await conn.execute("ALTER TABLE turns DROP CONSTRAINT no_poison")

    assert len(await turns_of(whole)) == 1
    [first, _] = await schedules_of("demo-pro")
    assert (first.id, first.reason) == (refused.id, "Something went wrong on our side.")
    assert first.due_at == whole.due_at + timedelta(hours=1)
