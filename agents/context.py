"""What a turn knows before its model is asked: one round of reads in the user's workspace, all at once."""

import asyncio
from collections.abc import Coroutine
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import structlog

from agents.aside import Known, Passage, profile_counts
from agents.mcp.errors import CallFailed
from agents.mcp.recent import Recent, read_recent
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

# Seconds for what the turn can do without. It is waited for before the first word.
ASIDE_S = 2.0
# The longest query that the workspace's searches take.
QUERY_CHARACTERS = 400
# The searches, and how many hits are wanted of each.
SEARCHES = {"search_memory": 5, "search_documents": 4}
# Users whose workspaces were seen to have nothing to search; the least that a process keeps of them.
MOST_KEPT = 10_000

_nothing_there: dict[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Context:
    """The conversation so far, and what the workspace knows."""

    recent: Recent
    known: Known


@dataclass(frozen=True, slots=True)
class Looking:
    """Whose workspace is read, for which message."""

    session: Session
    tools: ToolSet
    user_id: str
    query: str


async def gather(look: Looking, *, conversation: str) -> Context:
    """Read all that a message needs. Only the conversation itself must be had: raises CallFailed for that.

    A search that was useless the last time (the profile shows every memory, there are no documents) is left out; when
    the profile says that it is not any more, it is made up for.
    """
    skipped = _nothing_there.get(look.user_id, frozenset())
    recent, profile, preferences, found = await _together(
        read_recent(look.session, look.tools, conversation),
        read_aside(look.session, "context://profile"),
        read_aside(look.session, "context://preferences"),
        _searched(look, SEARCHES.keys() - skipped),
    )
    empty = _empty(profile)
    found |= await _searched(look, skipped - empty)
    _keep(look.user_id, empty)
    memories, passages = _memories(found.get("search_memory", {})), _passages(found.get("search_documents", {}))
    return Context(recent, Known(profile, preferences, tuple(memories), tuple(passages)))


def _empty(profile: str) -> frozenset[str]:
    """The searches that can find nothing that the profile does not show."""
    return frozenset(name for name, left in zip(SEARCHES, profile_counts(profile), strict=True) if left == 0)


def _keep(user_id: str, empty: frozenset[str]) -> None:
    if len(_nothing_there) >= MOST_KEPT:
        _nothing_there.clear()
    _nothing_there[user_id] = empty


async def read_aside(session: Session, uri: str) -> str:
    """A resource that can be done without: "" where it can't be had in time."""
    try:
        async with asyncio.timeout(ASIDE_S):
            return await session.read_resource(uri)
    except (CallFailed, TimeoutError) as error:
        # A server set by staff need not have it.
        log.info("context_missing", uri=uri, why=type(error).__name__)
        return ""


async def _searched(look: Looking, tools: AbstractSet[str]) -> dict[str, JSON]:
    """What each of the wanted searches found, where the workspace has it."""
    wanted = [tool for tool in SEARCHES if tool in tools and look.tools.has(tool)]
    return dict(zip(wanted, await _together(*(_search(look, tool) for tool in wanted)), strict=True))


async def _search(look: Looking, tool: str) -> JSON:
    query = " ".join(look.query.split())[:QUERY_CHARACTERS]
    try:
        async with asyncio.timeout(ASIDE_S):
            arguments = {"query": query, "limit": SEARCHES[tool]}
            outcome = await look.session.call_tool(tool, arguments, deadline_s=ASIDE_S)
    except (CallFailed, TimeoutError) as error:
        log.info("context_missing", tool=tool, why=type(error).__name__)
        return {}
    return outcome.structured or {} if not outcome.failed else {}


def _memories(found: JSON) -> list[str]:
    return [str(each["content"]) for each in _records(found, "memories") if each.get("content")]


def _passages(found: JSON) -> list[Passage]:
    passages = []
    for each in _records(found, "passages"):
        page = f"page {each['page']}, " if each.get("page") else ""
        passages.append(
            Passage(str(each.get("document", "")), f"{page}line {each.get('line', 1)}", str(each.get("text", "")))
        )
    return passages


def _records(found: JSON, name: str) -> list[JSON]:
    records = found.get(name)
    return [each for each in records if isinstance(each, dict)] if isinstance(records, list) else []


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of `work`, done at once; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
