"""Run one claimed turn to its end: claim → harness → settlement → last event → history in the workspace."""

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import structlog
from opentelemetry.trace import INVALID_SPAN, Span
from redis.exceptions import RedisError

from accounts.licences import Licence, NotLicensed, active_licence
from agents import metrics
from agents.aftercare import care_for, store_earlier
from agents.brain import Brain
from agents.circuit_table import shared_circuits
from agents.effects import EffectKeys
from agents.errors import AgentFailed, FenceLost
from agents.events import Cancelled, Done, Failed, Notice, Usage, UserMessage
from agents.harness_types import Answer, Attached, Said, Talk, TurnRequest
from agents.hints import hint_workspace
from agents.insisting import insist
from agents.joining import Ended, end_joined, join, joined_before, tell_ends
from agents.journal import journal
from agents.metering import StepMeter
from agents.pictures import keep_picture
from agents.positions import tell_positions
from agents.queue import MAX_ATTEMPTS, Claim, disown, release
from agents.settlement import Outcome, note_end, postpone, settle
from agents.telemetry import span
from agents.uploads import attached_to, kept_message, note_outcome
from agents.wait_events import NOTHING_SHOWN, Shown, events_of, read_shown
from agents.waiting import Resumed, Waits
from agents.waits import begin_wait, end_telling, read_wait, resumed_by
from agents.writer import TurnWriter, joined
from gateway.db import Connection
from provisioning.stages import StageReport

# Approvals and questions of one turn: one that needs more has lost its way.
MOST_WAITS = 20

log = structlog.get_logger(__name__)


class TurnRun:
    """One attempt at one turn. `cancel` stops it for its user, `drain` for a worker that is told to stop.

    `licence` is given where it was read just now.
    """

    def __init__(self, claim: Claim, brain: Brain, *, licence: Licence | None = None) -> None:
        self.claim = claim
        self._brain = brain
        self._writer = TurnWriter(claim, journal())
        self._meter = StepMeter(claim)
        self._agent: asyncio.Task[Answer | Waits] | asyncio.Task[None] | None = None
        self._resumed: Resumed | None = None
        self._began = time.monotonic()
        self._cancelled = claim.cancel_requested
        self._draining = False
        self._summary_due = ""
        # What has joined the turn, what may want to, and what ended with it.
        self._joined: list[Said] = []
        self._attached: tuple[Attached, ...] = ()
        self._steered = self._may_have_joined = claim.fence > 1
        self._ended: list[Ended] = []
        self._known = licence
        self._span: Span = INVALID_SPAN

    async def run(self) -> None:
        """Run the turn, whatever happens in it; a turn that another worker has taken over is left to that worker."""
        claim = self.claim
        with (
            structlog.contextvars.bound_contextvars(turn=claim.turn, user=claim.user_id, attempt=claim.attempts),
            span("turn", turn__id=claim.turn, turn__attempt=claim.attempts, turn__channel=claim.channel) as self._span,
        ):
            try:
                await self._attempt()
                await self._sum_up()
            except FenceLost:
                log.warning("turn_taken_over")
            except psycopg.Error as error:
                # The worker finds a turn that it holds and nobody runs, and gives it up.
                log.error("turn_not_settled", error=type(error).__name__)  # noqa: TRY400 - the SQL is not for logs
            except Exception:  # the boundary of a turn: no turn's fault may end the worker
                log.exception("turn_broke")
            finally:
                self._writer.close()

    def cancel(self) -> None:
        """Stop the agent because the user said so; the turn ends `cancelled`."""
        self._cancelled = True
        if self._agent is not None:
            self._agent.cancel()

    def drain(self) -> None:
        """Stop the agent because the process ends; the turn goes back into the queue."""
        self._draining = True
        if self._agent is not None:
            self._agent.cancel()

    def steer(self) -> None:
        """Look, before the next model call, whether a message wants to join."""
        self._steered = True

    async def _attempt(self) -> None:
        await self._begin()
        if self.claim.attempts > MAX_ATTEMPTS:
            message = f"This message could not be answered in {MAX_ATTEMPTS} attempts. It is kept for the operators."
            await self._end(Outcome(Failed(code="dead_letter", message=message), self._history(message), dead=True))
            return
        try:
            outcome = await self._outcome()
        except AgentFailed as error:
            await self._fail(error)
            return
        if outcome is None:
            await release(self.claim, closing=self._meter.close)
        elif isinstance(outcome, Waits):
            await self._wait(outcome)
        else:
            await self._end(outcome)

    async def _begin(self) -> None:
        """Open the journal: a lost one gets the question again, and what an earlier attempt showed is taken back.

        What the turn had written when it began to wait for its user stays.
        """
        claim = self.claim
        if claim.wait_id is None:
            metrics.queue_wait.observe(claim.waited_s)
        there = await self._writer.open()
        if not there:
            await self._writer.emit(UserMessage(channel=claim.channel, content=claim.content))
        if claim.wait_id is not None:
            await self._take_up(claim.wait_id)
        elif claim.fence > 1:
            await self._writer.resume("", shown=False)

    async def _take_up(self, wait: str) -> None:
        """Read what became of what the turn waited for, and show it where that was missed."""
        row = await read_wait(self.claim.wait_kind, wait)
        if row is None:
            return
        shown = await self._shown()
        await self._writer.resume(self.claim.answer, shown=shown.text == self.claim.answer)
        for event in shown.missing(events_of(row)):
            await self._writer.emit(event)
        self._resumed = resumed_by(row, state=self.claim.wait_state or {}, written=self.claim.answer)

    async def _shown(self) -> Shown:
        try:
            return await read_shown(self.claim.turn)
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            return NOTHING_SHOWN

    async def _outcome(self) -> Outcome | Waits | None:
        """Run the agent; None when this process ends before it does. Raises AgentFailed."""
        licence = await self._licence()
        if self._is_stopped():
            return self._stopped_outcome()
        self._agent = answering = asyncio.create_task(self._answer(licence))
        try:
            answer = await answering
        except asyncio.CancelledError:
            if not self._is_stopped():
                raise
            if self._may_have_joined:
                # It may have been stopped between their commit and knowing of it.
                self._joined = await joined_before(self.claim.turn)
            return self._stopped_outcome()
        except (AgentFailed, FenceLost, psycopg.Error):
            raise
        except Exception as error:  # the boundary of a turn: whatever broke in it must not end the worker
            log.exception("agent_broke")
            raise AgentFailed("internal", "Something went wrong on our side.", retryable=True) from error
        if isinstance(answer, Waits):
            return self._bounded(answer)
        self._meter.model = answer.model
        self._summary_due = answer.model if answer.summary_due else ""
        content = joined(self.claim.answer, answer.content)
        done = Done(
            content=content, model=answer.model or None, usage=self._used_before() + answer.usage, ms=self._ms()
        )
        return Outcome(done, answer.messages, kept_model=answer.kept_model or answer.model)

    def _bounded(self, waits: Waits) -> Waits:
        if self.claim.waits >= MOST_WAITS:
            raise AgentFailed("too_many_steps", f"The agent asked {MOST_WAITS} times without reaching an answer.")
        usage = waits.usage or Usage(cost_usd=0)
        return replace(waits, usage=self._used_before() + usage)

    def _used_before(self) -> Usage:
        """What was used before the turn waited."""
        return Usage(**self.claim.usage) if self.claim.usage else Usage(cost_usd=0)

    async def _answer(self, licence: Licence) -> Answer | Waits:
        if self.claim.unstored:
            await store_earlier(self.claim, licence, brain=self._brain)
        if self.claim.fence > 1:
            self._joined = await joined_before(self.claim.turn)
        if self.claim.attached:
            self._attached = await attached_to(self.claim.turn)
        return await self._brain.run(self._request(licence), self._writer.emit)

    async def _fail(self, error: AgentFailed) -> None:
        """Try again where that may help and the attempts allow it; end the turn otherwise."""
        if self._cancelled:
            await self._end(self._cancelled_outcome())
            return
        log.warning("turn_attempt_failed", code=error.code, retryable=error.retryable)
        if error.retryable and self.claim.attempts < MAX_ATTEMPTS:
            text = f"{error.message} Trying again ({self.claim.attempts + 1} of {MAX_ATTEMPTS})."
            await self._writer.emit(Notice(text=text))
            await postpone(self.claim, closing=self._meter.close)
            return
        written = self.claim.answer if error.retryable else self._writer.text
        history = self._history(f"{written}\n\n{error.message}" if written else error.message)
        outcome = Outcome(Failed(error.code, error.message), history, dead=error.retryable, written=written)
        await self._end(outcome)

    async def _wait(self, waits: Waits) -> None:
        """Let go of everything until the user has decided; a turn that is to be cancelled ends instead."""
        text, beside = self._writer.text, self._writer.beside
        begin = partial(begin_wait, self.claim, waits, written=text, beside=beside, closing=self._meter.close_turn)
        event = await insist(begin, unless=lambda: self._draining)
        if event is None:
            await self._end(self._cancelled_outcome())
        elif await self._writer.pause(event):
            await end_telling(self.claim)
        else:
            await disown(self.claim.turn, fence=self.claim.fence)

    async def _end(self, outcome: Outcome) -> None:
        last_seq = await self._writer.last_seq()
        await self._settle(outcome, last_seq=last_seq)
        self._span.set_attribute("turn.state", outcome.event.type)
        metrics.turn_ended(self.claim.channel, outcome.event.type)
        if self._writer.first_token_at is not None:
            metrics.first_token.observe(self.claim.waited_s + self._writer.first_token_at - self._began)
        written = await self._writer.finish(outcome.event)
        await tell_ends(self._ended)
        if written is None:
            # Whoever takes it up again tells the turn's end as soon as the journal can be written.
            await disown(self.claim.turn, fence=self.claim.fence)
            await tell_positions(self.claim.conversation)
            return
        if written != last_seq:
            await note_end(self.claim.turn, fence=self.claim.fence, last_seq=written)
        history = None if outcome.dead else outcome.history
        if await care_for(self.claim, history, brain=self._brain, licence=self._known):
            await tell_positions(self.claim.conversation)

    async def _sum_up(self) -> None:
        """Sum up a conversation that has grown long. The turn is over and its conversation free: nobody waits for it."""
        if not self._summary_due or self._is_stopped():
            return
        claim = self.claim
        talk = Talk(claim.user_id, claim.conversation, claim.channel, self._summary_due)
        self._agent = summing = asyncio.create_task(self._brain.summarise(talk))
        try:
            await asyncio.wait({summing})
        finally:
            summing.cancel()
        if not summing.cancelled() and (error := summing.exception()):
            log.error("summary_broke", error=type(error).__name__)

    async def _settle(self, outcome: Outcome, *, last_seq: int | None) -> None:
        """Settle even when the database is away for a while: an answer is not thrown away for that."""
        outcome = replace(outcome, beside=self._writer.beside)

        async def closing(conn: Connection, first: bool) -> None:
            await self._meter.end_turn(conn, failed=isinstance(outcome.event, Failed), first=first)
            if self._may_have_joined:
                self._ended = await end_joined(conn, self.claim, outcome)

        step = partial(settle, self.claim, outcome, last_seq=last_seq, closing=closing)
        await insist(step, unless=lambda: self._draining)

    async def _licence(self) -> Licence:
        try:
            self._known = self._known or await active_licence(self.claim.user_id)
        except NotLicensed as error:
            raise AgentFailed(error.code, str(error)) from error
        self._meter.was_read(self._known)
        return self._known

    def _request(self, licence: Licence) -> TurnRequest:
        claim = self.claim
        return TurnRequest(
            turn=claim.turn, conversation=claim.conversation, user_id=claim.user_id, channel=claim.channel,
            content=claim.content, licence=licence, model=claim.wanted_model or None,
            preferred_model=claim.preferred_model or None, model_settled=claim.model_settled, attempt=claim.attempts,
            resumed=self._resumed, on_stage=self._on_stage, meter=self._meter, circuits=shared_circuits(),
            joined=tuple(self._joined), more=self._more, fence=claim.fence, workflow=claim.workflow,
            attached=self._attached, keep_picture=partial(keep_picture, claim),
            keep_outcome=partial(note_outcome, claim), effect_key=EffectKeys(claim).key,
        )  # fmt: skip

    async def _more(self) -> list[Said]:
        """What the user has added since; most turns are never asked."""
        if not self._steered:
            return []
        self._steered, self._may_have_joined = False, True
        said = await join(self.claim)
        self._joined += said
        if said:
            await tell_positions(self.claim.conversation)
        return said

    async def _on_stage(self, report: StageReport) -> None:
        await hint_workspace(self.claim.user_id, state=report.stage, detail=report.detail)

    def _is_stopped(self) -> bool:
        return self._cancelled or self._draining

    def _stopped_outcome(self) -> Outcome | None:
        return self._cancelled_outcome() if self._cancelled else None

    def _cancelled_outcome(self) -> Outcome:
        text = self._writer.text
        return Outcome(Cancelled(content=text), self._history(text))

    def _history(self, answer: str) -> list[dict[str, Any]]:
        """What the conversation keeps of a turn that did not end well."""
        asked = kept_message(self.claim.content, self.claim.channel, attached=self._attached)
        messages = [asked, *(kept_message(each.content, each.channel) for each in self._joined)]
        return [*messages, {"role": "assistant", "content": answer}] if answer else messages

    def _ms(self) -> int:
        """Milliseconds since the message was accepted."""
        return int((self.claim.waited_s + time.monotonic() - self._began) * 1000)
