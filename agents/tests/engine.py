"""A turn engine under the test's control: workers as leases, and a brain that does what it is told."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from accounts.licences import Licence
from agents.aftercare import finish_for_another
from agents.brain import Brain
from agents.catalogue import Model
from agents.conversations import create_conversation
from agents.errors import AgentFailed, HistoryRefused
from agents.events import Notice, Started, Token, Usage
from agents.harness_types import Answer, Emit, Said, TurnRequest
from agents.journal import journal
from agents.queue import Claim, claim_next, claim_uncared
from agents.runner import TurnRun
from agents.turns import Accepted, IncomingMessage, accept_message
from agents.waiting import ApprovalRequest, QuestionRequest, Resumed, Waits
from agents.worker import Worker
from gateway.db import connection
from gateway.ids import new_uuid
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

MODEL = "demo/demo"
# A dollar for a million tokens of whatever kind.
PRICED = Model(provider="test", name="priced", size="small", input=1, cached=1, output=1)
ENDS = frozenset({"finish", "fail", "break", "ask yes", "ask what", "ask words"})
COLOURS = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
WORDS = {"type": "object", "properties": {"period": {"type": "string", "minLength": 3}}, "required": ["period"]}
CALLS = frozenset({"ask", "hear", "pay", "look", "lose"})
Remember = Callable[[Licence, str, str, list[dict[str, Any]]], Awaitable[None]]


@dataclass
class ScriptedBrain:
    """Each attempt at a turn waits for orders: text to say, then `finish`, `fail` or `break`. It keeps what it is to store.

    `ask yes`, `ask what` and `ask words` end the attempt by waiting, at most so many seconds as they are given. Its state is what
    it said.

    A model call is `ask` with its prompt's tokens, `hear` with some text, and `pay` with `input+cached+output`, or `lose`
    with the same for one that fails; `look` takes up what joins the turn before one.
    """

    orders: dict[tuple[str, int], asyncio.Queue[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(asyncio.Queue)
    )
    stored: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stored_order: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    resumed: dict[str, list[Resumed]] = field(default_factory=lambda: defaultdict(list))
    joined: dict[str, list[Said]] = field(default_factory=dict)
    last_attempt: int = 0
    storing: bool = True
    refusing: bool = False
    called: list[dict[str, Any]] = field(default_factory=list)
    kept_model: str = ""

    def brain(self) -> Brain:
        return Brain(run=self.run, remember=self.remember)

    async def run(self, request: TurnRequest, emit: Emit) -> Answer | Waits:
        self.started.append(request.turn)
        self.last_attempt = max(self.last_attempt, request.attempt)
        if request.resumed:
            self.resumed[request.turn].append(request.resumed)
        await emit(Started(model=MODEL, reason="test", attempt=request.attempt))
        said = ""
        while True:
            order, text = await self.orders[request.turn, request.attempt].get()
            if order in {"say", "note"}:
                said += text if order == "say" else ""
                await emit(Token(content=text) if order == "say" else Notice(text=text))
            elif order == "finish":
                calling = {"tool_calls": self.called} if self.called else {}
                messages: list[dict[str, Any]] = [
                    {"role": "user", "content": request.content},
                    {"role": "assistant", "content": said, **calling},
                ]
                return Answer(
                    content=said, model=MODEL, usage=Usage(1, 0, 1), messages=messages, kept_model=self.kept_model
                )
            elif order in {"ask yes", "ask what", "ask words"}:
                return waits(order, said, ttl_s=float(text or 1800))
            elif order in CALLS:
                await self._call_model(request, order, text)
            elif order == "fail":
                raise AgentFailed("provider_unavailable", "The model can't be reached.", retryable=text == "retryable")
            else:
                raise ZeroDivisionError

    async def _call_model(self, request: TurnRequest, order: str, text: str) -> None:
        if order == "ask":
            await request.meter.begin(PRICED, prompt_tokens=int(text))
        elif order == "hear":
            request.meter.heard(text)
        elif order == "look":
            self.joined[request.turn] = [*(self.joined.get(request.turn) or request.joined), *await request.more()]
        elif order == "lose":
            request.meter.took(Usage(*map(int, text.split("+"))))
        else:
            await request.meter.end(Usage(*map(int, text.split("+"))), tool_calls=1)

    async def remember(self, _licence: Licence, _conversation: str, turn: str, messages: list[dict[str, Any]]) -> None:
        if not self.storing:
            raise AgentFailed("workspace_failed", "The workspace is away.", retryable=True)
        if self.refusing:
            raise HistoryRefused("workspace_unreachable", retryable=True)
        self.stored.setdefault(turn, messages)
        self.stored_order.append(turn)


def waits(order: str, said: str, *, ttl_s: float) -> Waits:
    """What the scripted brain waits for."""
    ttl, state = timedelta(seconds=ttl_s), {"said": said}
    if order == "ask what":
        return Waits(request=QuestionRequest(text="Which colour?", schema=COLOURS, ttl=ttl), state=state)
    if order == "ask words":
        return Waits(request=QuestionRequest(text="Which period?", schema=WORDS, ttl=ttl), state=state)
    request = ApprovalRequest(
        workflow="trading_analysis",
        title="Deploy golden-cross to SPX",
        details={"Strategy": "golden-cross", "Worst loss": "12.5 %", "Fee": "2 bp"},
        params={"fast": 50, "slow": 200},
        covers={"strategy_version_digest": "abc", "risk_result": {"verdict": "acceptable"}},
        ttl=ttl,
    )
    return Waits(request=request, state=state, usage=Usage(10, 0, 5, 0.1))


@dataclass
class TestWorker:
    """A worker process as the database sees it: a lease, and the runs it holds."""

    __test__ = False
    brain: ScriptedBrain
    id: UUID = field(default_factory=new_uuid)
    runs: dict[str, tuple[TurnRun, asyncio.Task[None]]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    remember: Remember | None = None

    async def begin(self) -> "TestWorker":
        async with connection() as conn:
            await conn.execute(
                "INSERT INTO worker_leases (id, name, expires_at) VALUES (%s, 'test', clock_timestamp() + interval '1 hour')",
                (self.id,),
            )
        return self

    async def claim(self) -> str | None:
        claim = await claim_next(self.id)
        if claim is None:
            return None
        self._begin(claim)
        return claim.turn

    @property
    def holder(self) -> UUID:
        return self.id

    def free(self) -> bool:
        return True

    def take(self, claim: Claim, licence: Licence) -> None:
        self._begin(claim, licence)

    def _begin(self, claim: Claim, licence: Licence | None = None) -> None:
        brain = Brain(run=self.brain.run, remember=self.remember or self.brain.remember)
        run = TurnRun(claim, brain, licence=licence)
        self.tasks.append(asyncio.create_task(run.run()))
        self.runs[claim.turn] = (run, self.tasks[-1])

    async def care(self) -> bool:
        claim = await claim_uncared(self.id)
        if claim is not None:
            await finish_for_another(claim, brain=self.brain.brain())
        return claim is not None

    async def order(self, turn: str, order: str, text: str = "") -> None:
        """Give an order; words are said, and model calls asked and paid for, when this returns."""
        run, task = self.runs[turn]
        orders = self.brain.orders[turn, run.claim.attempts]
        await orders.put((order, text))
        if order in {"ask", "pay", "look"}:
            await orders.put(("hear", ""))
        while order not in ENDS and not orders.empty() and not task.done():  # noqa: ASYNC110 - nothing tells of a `get`
            await asyncio.sleep(0.001)

    async def done(self, turn: str) -> None:
        async with asyncio.timeout(60):
            await self.runs[turn][1]

    async def lose_lease(self) -> None:
        async with connection() as conn:
            await conn.execute("UPDATE worker_leases SET expires_at = '2000-01-01' WHERE id = %s", (self.id,))

    async def die(self) -> None:
        """As kill -9: nothing more is written, the lease runs out."""
        while left := [task for task in self.tasks if not task.done()]:
            # Again and again: asyncio.wait_for of Python 3.11 swallows a cancellation that meets its end.
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.1)
        self.runs.clear()
        await self.lose_lease()


@asynccontextmanager
async def working(scripted: ScriptedBrain | Brain) -> AsyncIterator[Services]:
    """A worker with a lease and wake-ups of its own."""
    brain = scripted if isinstance(scripted, Brain) else scripted.brain()
    services = Services(Lease("test"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    task = asyncio.create_task(Worker(services, brain=brain).run())
    await asyncio.sleep(0)
    listening = asyncio.create_task(services.wakeups.run())
    try:
        yield services
    finally:
        services.stopping.set()
        services.wakeups.wake_all()
        await task
        listening.cancel()
        await asyncio.to_thread(services.lease.release)


async def say(
    content: str,
    *,
    user: str = "demo-pro",
    channel: str = "web",
    external: str = "",
    conversation: str | None = None,
    when_busy: str | None = None,
    attachments: tuple[str, ...] = (),
    attachments_of: str | None = None,
) -> Accepted:
    """Accept a message."""
    return await accept_message(
        IncomingMessage(
            user_id=user,
            channel=channel,
            external_id=external or str(new_uuid()),
            content=content,
            conversation=conversation,
            when_busy=when_busy,
            attachments=attachments,
            attachments_of=attachments_of,
            reply_to={} if channel == "web" else {"chat": "1"},
        )
    )


async def something_waits(user: str, order: str = "ask yes", *, channel: str = "web") -> str:
    """The id of an approval, or with `ask what` of a question, of a new turn that waits for it in a conversation of its own."""
    conversation = (await create_conversation(user)).id
    await say("Do it", user=user, channel=channel, conversation=conversation)
    worker = await TestWorker(ScriptedBrain()).begin()
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, order)
    await worker.done(turn)
    await worker.lose_lease()
    return str((await row(turn, "wait_id"))[0])


async def let_retries_be_due() -> None:
    async with connection() as conn:
        await conn.execute("UPDATE turns SET run_after = clock_timestamp() WHERE run_after IS NOT NULL")


async def row(turn: str, *columns: str) -> tuple[Any, ...]:
    async with connection() as conn:
        cursor = await conn.execute(f"SELECT {', '.join(columns)} FROM turns WHERE id = '{turn}'")
        found = await cursor.fetchone()
    assert found is not None
    return tuple(found)


async def frames(turn: str) -> list[dict[str, Any]]:
    found = await journal().read(turn, after=0)
    assert found is not None
    return [json.loads(frame) for frame in found.frames]


async def types(turn: str) -> list[str]:
    return [frame["type"] for frame in await frames(turn)]


async def answer(worker: TestWorker, *texts: str) -> str:
    turn = await worker.claim()
    assert turn is not None
    for text in texts:
        await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)
    return turn
