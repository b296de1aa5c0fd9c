"""Resources: what an agent reads at every turn, one request each."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from pydantic import BaseModel

from mcp_server.errors import WorkspaceError
from mcp_server.tools import backtests, conversations, market, memory, strategies
from mcp_server.tools.data import ZIP
from mcp_server.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")

JSON = "application/json"
PNG = "image/png"

# Recent context for a prompt, not an archive: the tools page through the rest.
RECENT_MEMORIES = 20
RECENT_MESSAGES = 200


class StorageReply(BaseModel):
    """What is stored and what may be."""

    used_bytes: int
    quota_bytes: int


class Profile(BaseModel):
    """Who the user is to the agent: `memories` are the newest, the totals count all."""

    user: str
    tier: str
    memories: list[memory.MemoryReply]
    memories_total: int
    documents_total: int
    instruments: list[market.InstrumentReply]
    storage: StorageReply


class Recent(BaseModel):
    """The newest messages of a conversation that its summary does not cover, oldest first.

    `before` pages on with get_conversation, and `last` is the position that a new summary would cover up to.
    """

    id: str
    title: str
    summary: conversations.SummaryReply | None
    messages: list[dict[str, Any]]
    before: int | None
    last: int | None


class Resources:
    """The workspace's resources: JSON texts, and the bytes of exports."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add_to(self, server: MCPServer[Any]) -> None:
        """Register all of them."""
        self._add_what_is_read_at_every_turn(server)
        self._add_results(server)

    def _add_what_is_read_at_every_turn(self, server: MCPServer[Any]) -> None:
        server.resource(
            "context://profile",
            title="Profile",
            mime_type=JSON,
            description=f"User, tier, the {RECENT_MEMORIES} newest memories, how many memories and documents there are, "
            "the instruments that have bars, storage in use.",
        )(self.profile)
        server.resource(
            "context://preferences",
            title="Preferences",
            mime_type=JSON,
            description="Preferences of the user; null = no wish.",
        )(self.preferences)
        server.resource(
            "conversation://{conversation}",
            title="Conversation",
            mime_type=JSON,
            description="A conversation's summary and the newest messages that it does not cover, at most "
            f"{RECENT_MESSAGES}; empty when there is none. In the id all but A-Z a-z 0-9 . _ ~ - is percent-encoded.",
        )(self.conversation)

    def _add_results(self, server: MCPServer[Any]) -> None:
        server.resource(
            "export://{export}/{part}",
            title="Part of an export",
            mime_type=ZIP,
            description="Bytes of an archive that export_data made, part 1 and on; put one after the other they are a zip.",
        )(_told(self.export))
        server.resource(
            "strategy://{name}",
            title="Strategy",
            mime_type=JSON,
            description="A strategy's newest version: source, parameters with defaults, digest, and its versions.",
        )(_told(self.strategy))
        server.resource(
            "backtest://{id}",
            title="Backtest",
            mime_type=JSON,
            description="A backtest or sweep: what was run, its figures and notes.",
        )(_told(self.backtest))
        server.resource(
            "backtest://{id}/trades",
            title="Trades of a backtest",
            mime_type=JSON,
            description="Every round trip of a backtest: side, dates, units, prices, profit or loss after fees.",
        )(_told(self.trades))
        server.resource(
            "backtest://{id}/chart.png",
            title="Chart of a backtest",
            mime_type=PNG,
            description="Equity beside buy and hold, and drawdown.",
        )(_told(self.chart))

    def profile(self) -> str:
        memories = self._workspace.memories
        return Profile(
            user=self._workspace.user,
            tier=self._workspace.tier,
            memories=[memory.reply(each) for each in memories.newest(RECENT_MEMORIES)],
            memories_total=memories.count(),
            documents_total=self._workspace.documents.count(),
            instruments=[market.describe(each) for each in self._workspace.catalogue.instruments()],
            storage=StorageReply.model_validate(self._workspace.database.usage(), from_attributes=True),
        ).model_dump_json()

    def preferences(self) -> str:
        return self._workspace.preferences.read().model_dump_json()

    def export(self, export: str, part: int) -> bytes:
        return self._workspace.exports.part(export, part)

    def conversation(self, conversation: str) -> str:
        page = self._workspace.conversations.recent(conversation, limit=RECENT_MESSAGES)
        return Recent(**conversations.page_reply(conversation, page).model_dump(exclude={"total"})).model_dump_json()

    def strategy(self, name: str) -> str:
        found = self._workspace.strategies.find(name)
        return strategies.read(self._workspace.strategies, found).model_dump_json()

    def backtest(self, id: str) -> str:  # noqa: A002 - the place in the address is called id
        return json.dumps(backtests.told(self._workspace.backtests.summary(id)), ensure_ascii=False)

    def trades(self, id: str) -> str:  # noqa: A002 - the place in the address is called id
        return json.dumps({"id": id, "trades": self._workspace.backtests.trades(id)}, ensure_ascii=False)

    def chart(self, id: str) -> bytes:  # noqa: A002 - the place in the address is called id
        return self._workspace.backtests.chart(id)


def _told(read: Callable[P, T]) -> Callable[P, T]:
    """Tells the client what a WorkspaceError says; the SDK would keep it to itself."""

    @functools.wraps(read)
    def reading(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return read(*arguments, **named)
        except WorkspaceError as error:
            raise ResourceNotFoundError(str(error)) from error

    return reading
