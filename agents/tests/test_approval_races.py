"""Any number of clicks at once, of anybody, in two processes, mixed with expiry and stopping: exactly one outcome each.

Source: DESIGN section 6: settled from any channel, once. `SEED=… make soak ARGS="-k clicks"` repeats a run.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import connections
from psycopg.types.json import Jsonb

from agents.journal import clear_memory
from agents.tests.clicks import Click, OtherProcess, do_all
from agents.tests.engine import waits
from agents.waiting import ApprovalRequest, digest_of
from gateway.db import connection
from gateway.ids import new_id

OWNER, STRANGERS = "demo-pro", ("demo-free", "demo-enterprise", "stranger")
# Cases whose clicks come together.
AT_ONCE = 10
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


@pytest.fixture
async def other(pool: None) -> AsyncIterator[OtherProcess]:
    """A second process."""
    named = connections["default"].settings_dict
    host = named["HOST"] or "localhost"
    where = f"?host={host}" if host.startswith("/") else ""
    address = "" if where else f"{host}:{named['PORT']}"
    url = f"postgres://{named['USER']}:{named['PASSWORD']}@{address}/{named['NAME']}{where}"
    process = await OtherProcess.begin(url)
    yield process
    await process.end()


async def begin_cases(number: int, *, chance: random.Random) -> dict[str, str]:
    """Turns that wait, some of which hardly any longer; the approval of each."""
    request = waits("ask yes", "", ttl_s=1800).request
    assert isinstance(request, ApprovalRequest)
    made = {}
    async with connection() as conn, conn.transaction():
        for _ in range(number):
            conversation, turn, approval = new_id(), new_id(), new_id()
            covered = request.covered(turn)
            await conn.execute(
                "INSERT INTO conversations (id, user_id, alias, title, model) VALUES (%s, %s, '', '', '')",
                (conversation, OWNER),
            )
            await conn.execute(
                "INSERT INTO turns (id, user_id, conversation_id, channel, external_id, digest, content, wanted_model, reply_to,"
                " state, answer, attempts, fence, journal_floor, cancel_requested, model, usage, error_code, error_message, dead,"
                " wait_kind, wait_id, waits) VALUES (%s, %s, %s, 'telegram', %s, '', 'Deploy it', '', '{\"chat\": 1}',"
                " 'awaiting_approval', '', 0, 1, 1011, false, '', '{}', '', '', false, 'approval', %s, 1)",
                (turn, OWNER, conversation, turn, approval),
            )
            await conn.execute(
                "INSERT INTO approvals (id, turn_id, user_id, expires_at, workflow, title, details, covered, digest)"
                " VALUES (%s, %s, %s, clock_timestamp() + %s * interval '1 ms', %s, %s, %s, %s, %s)",
                (
                    approval, turn, OWNER, chance.choice([1_800_000, 1_800_000, chance.randint(0, 60)]), request.workflow,
                    request.title, Jsonb(request.details), covered, digest_of(covered),
                ),
            )  # fmt: skip
            made[turn] = approval
    return made


def clicks_on(turn: str, approval: str, *, chance: random.Random) -> list[Click]:
    """From 2 to 50 of them, most often few."""
    number = chance.choice([2] * 16 + [3] * 12 + [4] * 8 + [8] * 4 + [20, 50])
    whats = ["approve"] * 5 + ["reject"] * 4 + ["replay", "expire"] + ["stop"] * chance.choice([0, 0, 1])
    return [
        Click(
            turn,
            approval,
            chance.choice(whats),
            chance.choice([OWNER] * 4 + list(STRANGERS)),
            chance.choice(["web", "telegram"]),
        )
        for _ in range(number)
    ]


async def run_cases(number: int, *, seed: int, other: OtherProcess) -> Counter[str]:
    """Let the clicks come and hold each case to its promise; how often each outcome was the one."""
    chance, outcomes = random.Random(seed), Counter[str]()  # noqa: S311 - a test's choices
    for _ in range(number // AT_ONCE):
        cases = await begin_cases(AT_ONCE, chance=chance)
        clicks = [each for case in cases.items() for each in clicks_on(*case, chance=chance)]
        chance.shuffle(clicks)
        here, there = clicks[::2], clicks[1::2]
        results = await asyncio.gather(do_all(here), other.do_all(there))
        told = list(zip(here + there, results[0] + results[1], strict=True))
        for turn, approval in cases.items():
            outcomes[await hold(approval, [each for each in told if each[0].turn == turn])] += 1
        clear_memory()
    return outcomes


async def hold(approval: str, told: list[tuple[Click, str]]) -> str:
    """One outcome, told to one click of its owner; the turn goes on once, and people are told once."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT a.state, a.by_channel, t.state, t.fence,"
            " (SELECT count(*) FROM audit u WHERE u.object = 'approval:' || a.id),"
            " (SELECT count(*) FROM outbox o WHERE o.turn_id = t.id AND o.kind = 'approval_settled')"
            " FROM approvals a JOIN turns t ON t.id = a.turn_id WHERE a.id = %s",
            (approval,),
        )
        found: tuple[Any, ...] | None = await cursor.fetchone()
    assert found is not None
    state, by_channel, turn, fence, audited, sent = found
    won = [click for click, result in told if result in {"approved", "rejected"}]
    stopped = any(result == "stopped" for _, result in told)
    assert all(result in {"not_found", "no_licence", "swept"} for click, result in told if click.user != OWNER), told
    assert not any(result in {"approved", "rejected"} for click, result in told if click.what == "replay"), told
    if state in {"approved", "rejected"}:
        assert [click.what for click in won] == [{"approved": "approve", "rejected": "reject"}[state]], told
        assert won[0].channel == by_channel, told
    else:
        assert not won, told
    settled = state != "pending"
    assert "changed" not in {result for click, result in told if click.what != "replay"}, told
    assert settled or not any(
        c.user == OWNER and c.what in {"approve", "reject", "stop"} for c, r in told if r != "expired"
    )
    assert (audited, sent) == (int(settled), int(settled)), told
    assert turn == ("cancelled" if stopped else "queued" if settled else "awaiting_approval"), told
    assert fence == 1 + int(settled) + int(stopped and state != "cancelled"), told
    return str(state)


async def test_clicks_at_once_in_two_processes_have_one_outcome_in_two_hundred_cases(other: OtherProcess) -> None:
    outcomes = await run_cases(200, seed=1, other=other)

    assert set(outcomes) >= {"approved", "rejected", "expired", "cancelled"}, outcomes


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_clicks_at_once_in_two_processes_have_one_outcome_in_ten_thousand_cases(
    other: OtherProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randint(1, 2**31))
    with capsys.disabled():
        print(f"\nSEED={seed}")  # noqa: T201 - to repeat a run that failed

    outcomes = await run_cases(10_000, seed=seed, other=other)

    with capsys.disabled():
        print(dict(outcomes))  # noqa: T201
