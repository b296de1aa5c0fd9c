"""Sum up the older part of a conversation that has grown long, after a turn of it: the workspace keeps the summary.

By a small model, on the user's account. Again is no error: a summary never falls behind the one that is kept, and what
it covers is fixed by the workspace's own positions. A conversation is summed up by one process at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import structlog
from langchain_core.messages import HumanMessage, SystemMessage

from accounts import budgets
from accounts.budgets import Spent
from accounts.errors import BudgetExhausted
from accounts.licences import Licence, NotLicensed, active_licence
from agents import metrics
from agents.aside import summary_text
from agents.catalogue import Model
from agents.choosing import bound_by
from agents.errors import AgentFailed
from agents.events import Usage
from agents.harness_types import Talk
from agents.markup import clean
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.history import read_page
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool
from agents.mcp.recent import Recent, read_recent
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet
from agents.model_step import Spoken, call_model
from agents.offers import offer
from agents.prompts import prompt
from agents.routing import Offer
from agents.summary_due import kept_messages
from agents.window import HISTORY_TOKENS
from gateway.db import connection

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

# Seconds in which nobody else begins, whatever becomes of this one; a failure is so not repeated with every message.
BETWEEN_S = 120.0
# The longest summary that a workspace keeps.
SUMMARY_CHARACTERS = 20_000
# A result or an answer need only be recognised.
MESSAGE_CHARACTERS = 2_000
RESULT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be summed up: the messages up to and with the position `up_to`, after what `summary` covers."""

    summary: str
    items: Sequence[JSON]
    up_to: int


async def summarise(talk: Talk) -> None:
    """Sum up the older part of the talk's conversation; a failure is logged and tried again after a later turn."""
    if not await _begin(talk.conversation):
        return
    try:
        outcome = await _summarise(talk, await active_licence(talk.user_id))
    except (AgentFailed, CallFailed, NotLicensed, BudgetExhausted, psycopg.Error) as error:
        log.warning("not_summed_up", conversation=talk.conversation, why=type(error).__name__)
        outcome = "failed"
    metrics.summaries.labels(outcome=outcome).inc()


async def _summarise(talk: Talk, licence: Licence) -> str:
    session = pool().session(licence)
    tools = await session.tools()
    part = await _older_part(session, tools, talk.conversation)
    if part is None:
        return "nothing"
    model = summary_model(offer(licence), used=talk.model)
    async with connection() as conn:
        await budgets.require_budget(conn, licence)
    spoken = await _ask(model, part)
    async with connection() as conn:
        await budgets.spend(conn, licence.user_id, _spent(model, spoken.usage, channel=talk.channel))
    text = clean(spoken.message.text).strip()[:SUMMARY_CHARACTERS]
    arguments = {"conversation": talk.conversation, "summary": text, "up_to": part.up_to}
    outcome = await session.call_tool("set_summary", arguments, deadline_s=READ_S)
    if outcome.failed:
        raise CallFailed(Reason.REFUSED, outcome.summary())
    log.info("summed_up", conversation=talk.conversation, messages=len(part.items), prompt=prompt("summary").label)
    return "done"


def summary_model(among: Offer, *, used: str) -> Model:
    """The model to sum up with: the operator's, else a small one, of the provider that answered before others.

    Raises AgentFailed when the licence allows none.
    """
    if among.default is not None and among.allows(among.default):
        return among.default
    models = sorted(among.models(), key=lambda each: (each.size != "small", each.provider != used.partition("/")[0]))
    if not models:
        raise AgentFailed("no_model", "No model is available for your licence at the moment.")
    return models[0]


async def _begin(conversation: str) -> bool:
    """Whether nobody else sums the conversation up at the moment."""
    async with connection() as conn:
        cursor = await conn.execute(
            "UPDATE conversations SET summed_up_after = clock_timestamp() + %s * interval '1 second'"
            " WHERE id = %s AND (summed_up_after IS NULL OR summed_up_after < clock_timestamp())",
            (BETWEEN_S, conversation),
        )
        return cursor.rowcount == 1


async def _older_part(session: Session, tools: ToolSet, conversation: str) -> _Part | None:
    """All but the newest turns; None when they are all, or when the talk goes on at this moment."""
    recent: Recent = await read_recent(session, tools, conversation)
    kept = kept_messages(recent.items, budget=HISTORY_TOKENS)
    if not 0 < kept < len(recent.items):
        return None
    # Only a page's cursor tells the position of a message that is not the newest.
    page = await read_page(session, tools, conversation, limit=kept)
    if page.before is None or page.last != recent.last or len(page.items) != kept:
        return None
    return _Part(recent.summary, recent.items[:-kept], page.before - 1)


async def _ask(model: Model, part: _Part) -> Spoken:
    bound = await bound_by(model, lambda built: built.chat)
    messages = [SystemMessage(prompt("summary").text), HumanMessage(transcript(part.summary, part.items))]
    return await call_model(bound, messages, on_text=_to_nobody)


def transcript(summary: str, items: Sequence[JSON]) -> str:
    """The summary so far and the messages after it, as one text."""
    lines = [summary_text(summary)] if summary else []
    for item in items:
        role, content = item.get("role"), " ".join(str(item.get("content") or "").split())
        most = RESULT_CHARACTERS if role == "tool" else MESSAGE_CHARACTERS
        who = f"tool {item.get('name', '')}" if role == "tool" else str(role)
        called = ", ".join(str(call.get("name")) for call in item.get("tool_calls") or ())
        content = content[:most] + ("…" if len(content) > most else "")
        lines.append(f"[{who}, {str(item.get('at', ''))[:10]}] {content}{f' (calls {called})' if called else ''}")
    return "\n".join(lines)


def _spent(model: Model, usage: Usage, *, channel: str) -> Spent:
    cost = model.cost_usd(usage)
    return Spent(
        model=model.spec,
        channel=channel,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=None if cost is None else Decimal(str(cost)),
    )


async def _to_nobody(_piece: str) -> None:
    """Nobody reads along."""
