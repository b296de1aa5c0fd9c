"""Any history of messages, workers, deaths and cancels ends with each turn answered once, and nothing left set aside.

Source: DESIGN sections 2 and 5.
"""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import sql

from agents.approvals import Decision, decide
from agents.errors import Refused
from agents.journal import clear_memory, journal
from agents.outbox import batch
from agents.questions import Reply, reply
from agents.queue import MAX_ATTEMPTS
from agents.rooms import offered
from agents.tests.engine import ScriptedBrain, TestWorker, let_retries_be_due, say
from agents.turns import Accepted, cancel_turn
from agents.waits import TABLES, expire_waits
from gateway.db import close_pool, connection, open_pool

T = TypeVar("T")
USERS = ("demo-pro", "demo-free")
FINAL = {"done", "failed", "cancelled"}
# Children before what they belong to.
EMPTIED = (
    "audit",
    "approvals",
    "questions",
    "outbox",
    "budget_reservations",
    "budgets",
    "usage",
    "accepted_messages",
    "turns",
    "conversations",
    "worker_leases",
)


class Engine(RuleBasedStateMachine):
    """Messages come, workers claim, answer, fail, die and sleep, in any order."""

    turns = Bundle("turns")
    # One for all histories: the pool's connections belong to it, and opening them takes longer than a history.
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.brain = ScriptedBrain()
        self.workers: list[TestWorker] = []
        self.accepted: dict[str, str] = {}
        self.channels: dict[str, str] = {}
        self.order: list[str] = []

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    @initialize()
    def begin(self) -> None:
        clear_memory()
        self.do(self._empty())
        self.workers = [self.do(TestWorker(self.brain).begin()) for _ in range(2)]

    async def _empty(self) -> None:
        async with connection() as conn:
            # TRUNCATE would make each table's files anew, for a handful of rows.
            for table in EMPTIED:
                await conn.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            # More messages come here than a minute allows.
            await conn.execute("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": null}'""")

    @rule(
        target=turns,
        user=st.sampled_from(USERS),
        channel=st.sampled_from(["web", "telegram"]),
        number=st.integers(0, 5),
        when_busy=st.sampled_from(["queue", "steer", "interrupt"]),
        beside=st.sampled_from([None, 0, 1]),
    )
    def a_message_comes(self, user: str, channel: str, number: int, when_busy: str, beside: int | None) -> str:
        accepted = self.do(self._say(user, channel, str(number), when_busy=when_busy, beside=beside))
        assert accepted.duplicate == (accepted.turn in self.accepted)
        if not accepted.duplicate:
            self.accepted[accepted.turn] = user
            self.channels[accepted.turn] = channel
            self.order.append(accepted.turn)
        return accepted.turn

    async def _say(self, user: str, channel: str, external: str, *, when_busy: str, beside: int | None) -> Accepted:
        """In a process of its own, or in that of a worker."""
        with nullcontext() if beside is None else offered(self.workers[beside]):
            return await say("Hello", user=user, channel=channel, external=external, when_busy=when_busy)

    @rule(which=st.integers(0, 1))
    def a_worker_claims(self, which: int) -> None:
        self.do(self.workers[which].claim())

    @rule(
        which=st.integers(0, 1),
        order=st.sampled_from(
            ["say", "ask", "pay", "look", "finish", "fail", "give up", "break", "ask yes", "ask what"]
        ),
        pick=st.randoms(),
    )
    def a_model_goes_on(self, which: int, order: str, pick: Any) -> None:
        worker = self.workers[which]
        running = [turn for turn, (_, task) in worker.runs.items() if not task.done()]
        if running:
            self.do(self._go_on(worker, pick.choice(running), order))

    async def _go_on(self, worker: TestWorker, turn: str, order: str) -> None:
        known = {
            "say": ("say", "word "),
            "ask": ("ask", "100"),
            "pay": ("pay", "100+0+10"),
            "fail": ("fail", "retryable"),
            "ask yes": ("ask yes", ""),
            "give up": ("fail", ""),
        }
        if order == "look":
            worker.runs[turn][0].steer()
        await worker.order(turn, *known.get(order, (order, "")))
        if order not in {"say", "ask", "pay", "look"}:
            await asyncio.wait([worker.runs[turn][1]], timeout=60)
            assert worker.runs[turn][1].done()

    @rule(
        choice=st.sampled_from(["approve", "reject", "answer", "expire"]),
        user=st.sampled_from(USERS),
        pick=st.randoms(),
    )
    def a_user_decides(self, choice: str, user: str, pick: Any) -> None:
        self.do(self._decide(choice, user, pick))

    async def _decide(self, choice: str, user: str, pick: Any) -> None:
        waiting = await self._waiting("questions" if choice == "answer" else "approvals")
        if not waiting:
            return
        wait, owner = pick.choice(waiting)
        if user == owner or choice == "expire":
            await decide_as(choice, wait, user=user)
        else:
            with pytest.raises(Refused):
                await decide_as(choice, wait, user=user)

    async def _waiting(self, table: str) -> list[tuple[str, str]]:
        async with connection() as conn:
            cursor = await conn.execute(f"SELECT id::text, user_id FROM {table} WHERE state = 'pending'")
            return [(row[0], row[1]) for row in await cursor.fetchall()]

    @rule(which=st.integers(0, 1))
    def a_worker_is_killed(self, which: int) -> None:
        self.do(self._replace(which))

    async def _replace(self, which: int) -> None:
        await self.workers[which].die()
        self.workers[which] = await TestWorker(self.brain).begin()

    @rule(which=st.integers(0, 1))
    def a_worker_sleeps_through_its_lease(self, which: int) -> None:
        self.do(self.workers[which].lose_lease())

    @rule(turn=turns)
    def a_user_cancels(self, turn: str) -> None:
        self.do(self._cancel(turn))

    async def _cancel(self, turn: str) -> None:
        await cancel_turn(turn, user_id=self.accepted[turn])
        for worker in self.workers:
            run, task = worker.runs.get(turn, (None, None))
            if run is not None and task is not None and not task.done():
                run.cancel()
                await asyncio.wait([task], timeout=30)

    @rule(turn=turns)
    def a_stranger_cancels(self, turn: str) -> None:
        with pytest.raises(Refused):
            self.do(cancel_turn(turn, user_id="stranger"))

    @rule(storing=st.booleans())
    def the_workspace_comes_and_goes(self, storing: bool) -> None:
        self.brain.storing = storing

    @rule(which=st.integers(0, 1))
    def a_worker_cares_for_what_others_left(self, which: int) -> None:
        self.do(self.workers[which].care())

    @rule()
    def time_passes(self) -> None:
        self.do(let_retries_be_due())

    @rule()
    def the_journal_is_lost(self) -> None:
        clear_memory()

    def teardown(self) -> None:
        if self.workers:
            self.do(self._bring_to_an_end())
            self.do(self._check())

    async def _bring_to_an_end(self) -> None:
        self.brain.storing = True
        for worker in self.workers:
            await worker.die()
        self.brain.orders.clear()
        last = await TestWorker(self.brain).begin()
        for _ in range(5 * len(self.accepted) + 5):
            await let_retries_be_due()
            while await last.care():
                pass
            await all_expire()
            turn = await last.claim()
            if turn is None:
                continue
            await last.order(turn, "finish")
            await last.done(turn)

    async def _check(self) -> None:
        async with connection() as conn:
            rows = await (
                await conn.execute(
                    "SELECT id::text, state, attempts, holder, content, answer, dead, waits, joined_to FROM turns"
                )
            ).fetchall()
        assert {row[0] for row in rows} == set(self.accepted)
        assert all(row[1] in FINAL and row[3] is None for row in rows), rows
        # The claim after the last attempt gives the turn up; where its worker is killed on the way, there is another.
        assert self.brain.last_attempt <= MAX_ATTEMPTS
        withdrawn = {row[0] for row in rows if row[1] == "cancelled" and row[2] + row[7] == 0}
        dead = {row[0] for row in rows if row[6]}
        joined = {row[0] for row in rows if row[8]}
        assert all(row[1] == "failed" and row[4] for row in rows if row[0] in dead), "its question is kept for a retry"
        assert set(self.brain.stored) == set(self.accepted) - withdrawn - dead - joined
        assert all(row[4] == row[5] == "" for row in rows if row[0] not in withdrawn | dead | joined), (
            "what is stored there is erased here"
        )
        async with batch(limit=1000) as (_, told):
            ends = [row.turn or "" for row in told if row.kind in FINAL]
            assert sorted(turn for turn in ends if turn not in joined) == sorted(
                turn for turn, channel in self.channels.items() if channel != "web" and turn not in joined
            )
            assert len(set(ends)) == len(ends)
            asked, settled = (
                sorted(
                    str(each.payload.get("approval") or each.payload.get("question"))
                    for each in told
                    if each.kind in kinds
                )
                for kinds in ({"approval", "question"}, {"approval_settled", "question_settled"})
            )
            assert asked == settled
        await self._check_books()
        for turn in self.accepted:
            await self._check_journal(turn, joined=turn in joined)

    async def _check_books(self) -> None:
        """Nothing stays set aside, each step is booked in both books or in none, each turn counts once."""
        async with connection() as conn:
            cursor = await conn.execute(
                "SELECT (SELECT count(*) FROM budget_reservations),"
                " (SELECT COALESCE(sum(tokens_reserved), 0) + COALESCE(sum(cost_reserved), 0) FROM budgets),"
                " (SELECT COALESCE(sum(tokens_used), 0) FROM budgets)"
                " - (SELECT COALESCE(sum(input_tokens + output_tokens), 0) FROM usage),"
                " (SELECT COALESCE(sum(turns), 0) FROM usage) - (SELECT count(*) FROM turns WHERE metered),"
                " (SELECT count(*) FROM turns WHERE NOT metered AND state <> 'cancelled'),"
                " (SELECT count(*) FROM approvals WHERE state = 'pending')"
                " + (SELECT count(*) FROM questions WHERE state = 'pending'),"
                " (SELECT count(*) FROM audit WHERE action LIKE 'approval.%' OR action LIKE 'question.%')"
                " - (SELECT count(*) FROM approvals) - (SELECT count(*) FROM questions)"
            )
            assert await cursor.fetchone() == (0, 0, 0, 0, 0, 0, 0)

    async def _check_journal(self, turn: str, *, joined: bool) -> None:
        found = await journal().read(turn, after=0)
        if found is None:
            return
        frames = [json.loads(frame) for frame in found.frames]
        assert [frame["seq"] for frame in frames] == list(range(found.first, found.next))
        assert sum(frame["type"] in FINAL for frame in frames) <= 1
        for asked in ("approval", "question"):
            shown = [frame[asked] for frame in frames if frame["type"] == asked]
            settled = [frame[asked] for frame in frames if frame["type"] == f"{asked}_settled"]
            assert len(set(shown)) == len(shown), "an approval is shown once"
            assert len(set(settled)) == len(settled)
            assert set(shown) <= set(settled) or found.first > 1
        assert not joined or frames[-1]["type"] in FINAL
        if frames and frames[-1]["type"] == "done":
            assert frames[-1]["content"] == _shown(frames)


async def decide_as(choice: str, wait: str, *, user: str) -> None:
    if choice == "answer":
        await reply(Reply(question=wait, user_id=user, channel="web", values={"colour": "red"}))
    elif choice == "expire":
        await all_expire()
    else:
        verdict: Any = choice
        await decide(Decision(approval=wait, choice=verdict, user_id=user, channel="telegram"))


async def all_expire() -> None:
    """The time to decide is over, for everything that waits."""
    async with connection() as conn:
        for table in TABLES.values():
            await conn.execute(f"UPDATE {table} SET expires_at = clock_timestamp() WHERE state = 'pending'")
    await expire_waits()


def _shown(frames: list[dict[str, Any]]) -> str:
    """What a client that follows the protocol shows at the end."""
    text = ""
    for frame in frames:
        if frame["type"] == "snapshot":
            text = frame["content"]
        elif frame["type"] == "token":
            text += frame["content"]
    return text


def _run(examples: int) -> None:
    with asyncio.Runner() as runner:
        Engine.loop = runner.get_loop()
        runner.run(open_pool())
        try:
            run_state_machine_as_test(
                Engine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
        finally:
            runner.run(close_pool())


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("users")
def test_two_hundred_histories_of_the_engine_answer_each_turn_once() -> None:
    """Source: DESIGN section 2: every accepted message ends answered, refused with a reason, or visibly dead-lettered."""
    _run(200)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.usefixtures("users")
def test_ten_thousand_histories_of_the_engine_answer_each_turn_once() -> None:
    """The same, for long."""
    _run(10_000)
